//! Setting up a development database, so that `wrangler dev` works with nothing done by hand. In
//! production the operator applies the same files with `wrangler d1 migrations apply`, and this is not
//! called: no request may change the tables of a live database.

use std::cell::Cell;

use super::d1::{D1Store, Statement, query};
use crate::session::Error;

/// Every file of the folder, in order.
const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_users_and_sessions.sql", include_str!("migrations/0001_users_and_sessions.sql")),
    ("0002_refresh_and_revocation.sql", include_str!("migrations/0002_refresh_and_revocation.sql")),
    ("0003_orders_and_payments.sql", include_str!("migrations/0003_orders_and_payments.sql")),
    ("0004_bounds.sql", include_str!("migrations/0004_bounds.sql")),
    ("0005_payments.sql", include_str!("migrations/0005_payments.sql")),
    ("0006_bound_sessions.sql", include_str!("migrations/0006_bound_sessions.sql")),
];

/// Applies what is missing, once in the life of the bindings, in the books that wrangler keeps as well.
pub(super) async fn apply(store: &D1Store<'_>, is_done: &Cell<bool>) {
    if is_done.get() {
        return;
    }
    match apply_missing(store).await {
        Ok(()) => is_done.set(true),
        // Another isolate may just be doing it; if the tables are missing, the store will say so.
        Err(_) => super::warn("the development database could not be set up; trying again"),
    }
}

async fn apply_missing(store: &D1Store<'_>) -> Result<(), Error> {
    let books = query!(
        "CREATE TABLE IF NOT EXISTS d1_migrations (
           id INTEGER PRIMARY KEY AUTOINCREMENT,
           name TEXT UNIQUE,
           applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
         )"
    );
    store.batch([books]).await?;
    for (name, sql) in MIGRATIONS {
        let known = query!("SELECT name FROM d1_migrations WHERE name = ?1", name);
        let [known] = store.batch([known]).await?;
        if !known.is_empty() {
            continue;
        }
        // Comments first: they may hold semicolons. Our migrations have no triggers and no such text.
        let plain: String =
            sql.lines().filter_map(|line| line.split("--").next()).collect::<Vec<_>>().join("\n");
        let statements = plain.split(';').map(str::trim).filter(|statement| !statement.is_empty());
        let mut batch: Vec<_> = statements.map(Statement::of).collect();
        batch.push(query!("INSERT INTO d1_migrations (name) VALUES (?1)", name));
        store.batch_of(batch).await?;
    }
    Ok(())
}
