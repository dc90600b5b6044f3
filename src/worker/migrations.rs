//! Sets up a development database, so that `wrangler dev` works without a step by hand. In
//! production the operator applies the same files with `wrangler d1 migrations apply`, and this
//! module is not called: no request may change the tables of a live database.

use std::cell::Cell;

use super::{
    d1::{D1Store, query},
    log,
    runtime::wire::Statement,
};
use crate::{service::Event, session::Error};

/// Every file of the folder, in order.
pub(super) const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_users_and_sessions.sql", include_str!("migrations/0001_users_and_sessions.sql")),
    ("0002_refresh_and_revocation.sql", include_str!("migrations/0002_refresh_and_revocation.sql")),
    ("0003_orders_and_payments.sql", include_str!("migrations/0003_orders_and_payments.sql")),
    ("0004_bounds.sql", include_str!("migrations/0004_bounds.sql")),
    ("0005_payments.sql", include_str!("migrations/0005_payments.sql")),
    ("0006_bound_sessions.sql", include_str!("migrations/0006_bound_sessions.sql")),
    ("0007_numbered_revocations.sql", include_str!("migrations/0007_numbered_revocations.sql")),
    ("0008_counts.sql", include_str!("migrations/0008_counts.sql")),
    ("0009_operators.sql", include_str!("migrations/0009_operators.sql")),
    ("0010_contradictory_payments.sql", include_str!("migrations/0010_contradictory_payments.sql")),
];

/// Applies the missing migrations, once for each set of bindings, and records them in the
/// migrations table of wrangler.
pub(super) async fn apply(store: &D1Store<'_>, is_done: &Cell<bool>) {
    if is_done.get() {
        return;
    }
    match apply_missing(store).await {
        Ok(()) => is_done.set(true),
        // Another isolate may be applying them. If tables are missing, the store returns an error.
        Err(_) => log::warn(
            Event::StorageFailed,
            "the development database could not be set up; the next request tries again",
        ),
    }
}

async fn apply_missing(store: &D1Store<'_>) -> Result<(), Error> {
    let table = query!(
        "CREATE TABLE IF NOT EXISTS d1_migrations (
           id INTEGER PRIMARY KEY AUTOINCREMENT,
           name TEXT UNIQUE,
           applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
         )"
    );
    store.batch([table]).await?;
    for (name, sql) in MIGRATIONS {
        let known = query!("SELECT name FROM d1_migrations WHERE name = ?1", name);
        let [known] = store.batch([known]).await?;
        if !known.is_empty() {
            continue;
        }
        // Comments are removed first, because they may contain semicolons. A statement ends at a
        // semicolon at the end of a line; in a trigger, there are others.
        let lines = sql.lines().filter_map(|line| line.split("--").next().map(str::trim_end));
        let plain = lines.collect::<Vec<_>>().join("\n");
        let statements = plain.split(";\n").map(|text| text.trim().trim_end_matches(';'));
        let statements = statements.filter(|statement| !statement.is_empty());
        let mut batch: Vec<_> = statements.map(Statement::of).collect();
        batch.push(query!("INSERT INTO d1_migrations (name) VALUES (?1)", name));
        store.batch_of(batch).await?;
    }
    Ok(())
}
