//! Numbers for the operator in D1. The tables came with a later migration than the others. Where
//! they are missing, users sign in as before, and nothing is counted.

use super::{D1Store, Statement, query};
use crate::{
    audit,
    identifier::Identifier,
    service::{Counted, Counts, DAYS_KEPT, Event, HOURS_KEPT, Marks, Sum},
    session::Error,
    time::UnixTime,
    worker::log,
};

impl D1Store<'_> {
    /// Whether the call failed because the tables are missing. From then on, the process does not
    /// use them: their migration is applied before the next deployment.
    pub(super) fn lacks_counts(&self, error: &Error) -> bool {
        let is_missing = error.reason.contains("no such table: counts");
        if is_missing && self.counts.replace(false) {
            log::warn(
                Event::CountsFailed,
                "nothing is counted, because the database lacks the newest migration. Run: npx wrangler d1 migrations apply DB --remote",
            );
        }
        is_missing
    }
}

/// Counts a sign-in whose session was begun by the statement before this one, and by no other:
/// `changes()` is the number of its rows.
pub(super) fn sign_in(uid: &Identifier, now: UnixTime) -> Statement {
    query!(
        "INSERT INTO counts (hour, name, label, n)
         SELECT ?2, 'sign_in', iif(sign_ins = 1, 'new', 'returning'), 1
         FROM users WHERE uid = ?1 AND changes() = 1
         ON CONFLICT (hour, name, label) DO UPDATE SET n = n + 1",
        uid,
        now.hour()
    )
}

impl Counts for D1Store<'_> {
    async fn add_counts(&self, counted: &[Counted]) -> Result<(), Error> {
        if !self.counts.get() {
            return Ok(());
        }
        let mut rows = Vec::new();
        for (hour, what, Sum { n, total }) in counted {
            let [name, label] = what.names();
            rows.push(format!(r#"[{},"{name}","{label}",{n},{total}]"#, hour.seconds()));
        }
        // One statement for any number of rows.
        let add = query!(
            "INSERT INTO counts (hour, name, label, n, total)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4
             FROM json_each(?1) WHERE true
             ON CONFLICT (hour, name, label) DO UPDATE SET
               n = n + excluded.n, total = total + excluded.total",
            format!("[{}]", rows.join(","))
        );
        match self.run(add).await {
            Err(error) if self.lacks_counts(&error) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    async fn mark_run(&self, outcome: &str, now: UnixTime) -> Result<Marks, Error> {
        let marked = self
            .run(query!(
                "INSERT INTO marks (name, at, value) VALUES ('run', ?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET at = excluded.at, value = excluded.value
                 RETURNING (SELECT at FROM marks WHERE name = 'roll_up') AS rolled_up_at,
                   (SELECT coalesce(sum(CAST(value AS INTEGER)), 0) FROM marks
                    WHERE name IN ('users', 'live_sessions')) AS counted",
                now,
                outcome
            ))
            .await?;
        let marks = marked.one(|mut row| {
            Ok(Marks { rolled_up_at: row.take("rolled_up_at")?, rows: row.take("counted")? })
        })?;
        Ok(marks.unwrap_or_default())
    }

    async fn roll_up(&self, since: Option<UnixTime>, now: UnixTime) -> Result<(), Error> {
        let mut statements = Vec::new();
        if let Some(since) = since {
            for sql in ADD_UP {
                statements.push(query!(sql, since));
            }
        }
        for sql in AFTERWARDS {
            statements.push(query!(sql, now));
        }
        self.batch_of(statements).await?;
        Ok(())
    }

    async fn forget_entries(&self, now: UnixTime) -> Result<(), Error> {
        match self.run(query!(OLD_ENTRIES, now)).await {
            // There is no audit yet.
            Err(error) if error.lacks_migration() => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    async fn take_stock(&self, with_active: bool, now: UnixTime) -> Result<(), Error> {
        let mut statements = vec![query!(STOCK, now)];
        if with_active {
            statements.push(query!(ACTIVE, now));
        }
        self.batch_of(statements).await?;
        Ok(())
    }
}

/// The numbers since `?1`: of paid orders from the payments, and of days from the hours. A number
/// that has not changed is not written.
const ADD_UP: [&str; 2] = [
    "INSERT INTO counts (hour, name, label, n, total)
     SELECT updated_at - updated_at % 3600, 'paid', '', count(*), sum(amount_stroops)
     FROM payments WHERE state = 'paid' AND updated_at >= ?1 GROUP BY 1
     ON CONFLICT (hour, name, label) DO UPDATE SET n = excluded.n, total = excluded.total
       WHERE n <> excluded.n OR total <> excluded.total",
    "INSERT INTO days (day, name, label, n, total)
     SELECT hour - hour % 86400, name, label, sum(n), sum(total)
     FROM counts WHERE hour >= ?1 GROUP BY 1, 2, 3
     ON CONFLICT (day, name, label) DO UPDATE SET n = excluded.n, total = excluded.total
       WHERE n <> excluded.n OR total <> excluded.total",
];

/// At the time `?1`, deletes old numbers, and marks it. If the clock stood still for long, it
/// deletes 5,000 hours' numbers in some ten milliseconds of the database.
const AFTERWARDS: [&str; 3] = [
    "DELETE FROM counts WHERE (hour, name, label) IN (
       SELECT hour, name, label FROM counts WHERE hour < ?1 - 691200 ORDER BY hour LIMIT 5000)",
    "DELETE FROM days WHERE day < ?1 - ?1 % 86400 - 34560000",
    "INSERT INTO marks (name, at, value) VALUES ('roll_up', ?1, '')
     ON CONFLICT (name) DO UPDATE SET at = excluded.at",
];
const _: () = assert!(HOURS_KEPT == 691_200 && DAYS_KEPT == 34_560_000);

/// At the time `?1`, deletes old entries of the audit. They are numbered in the order of their
/// times: while the first one is young, this reads only that one. The trigger that keeps young
/// entries has a clock of its own, which may be an hour behind.
const OLD_ENTRIES: &str = "DELETE FROM audit WHERE at <= ?1 - 34563600 AND id IN (
     SELECT id FROM audit ORDER BY id
     LIMIT iif((SELECT at FROM audit ORDER BY id LIMIT 1) <= ?1 - 34563600, 5000, 0))";
const _: () = assert!(audit::KEPT_SECONDS == 34_560_000);

/// The numbers of users and of live sessions at the time `?1`.
const STOCK: &str = "INSERT INTO marks (name, at, value)
     SELECT 'users', ?1, count(*) FROM users WHERE erased_at IS NULL
     UNION ALL SELECT 'live_sessions', ?1, count(*) FROM live_sessions WHERE expires_at > ?1
     ON CONFLICT (name) DO UPDATE SET at = excluded.at, value = excluded.value";

/// The users who were active on the day before `?1`, in the first minutes of a day. A session that
/// was refreshed in these minutes was almost certainly active on the day before, and no longer says
/// so.
const ACTIVE: &str = "INSERT INTO days (day, name, label, n)
     SELECT ?1 - ?1 % 86400 - 86400, 'active_user', '', count(DISTINCT uid) FROM sessions
     WHERE last_seen_at >= ?1 - ?1 % 86400 - 86400 AND created_at < ?1 - ?1 % 86400
     ON CONFLICT (day, name, label) DO UPDATE SET n = excluded.n";
