//! Numbers for the operator in D1. The tables came with a later migration than the others. Where
//! they are missing, users sign in as before, and nothing is counted.

use super::{D1Store, Statement, query};
use crate::{
    identifier::Identifier,
    service::{Count, Counted, Counts, DAYS_KEPT, HOURS_KEPT, Marks},
    session::Error,
    time::UnixTime,
    worker::log,
};

/// A day, in seconds.
const DAY: u32 = 24 * 3600;

/// How many hours' numbers are deleted at once, if the clock stood still for long: some ten
/// milliseconds of the database.
const MAX_DELETED: u32 = 5000;

impl D1Store<'_> {
    /// Whether the call failed because the tables are missing. From then on, the process does not
    /// use them: their migration is applied before the next deployment.
    pub(super) fn lacks_counts(&self, error: &Error) -> bool {
        let is_missing = error.reason.contains("no such table: counts");
        if is_missing && self.counts.replace(false) {
            log::warn(
                "nothing is counted, because the database lacks the newest migration. Run: npx wrangler d1 migrations apply DB --remote",
            );
        }
        is_missing
    }
}

/// Counts a sign-in whose session was begun by the statement before this one, and by no other:
/// `changes()` is the number of its rows.
pub(super) fn sign_in(uid: &Identifier, now: UnixTime) -> Statement {
    let [[name, new], [_, returning]] = [Count::NewUser.names(), Count::ReturningUser.names()];
    query!(
        "INSERT INTO counts (hour, name, label, n)
         SELECT ?2, ?3, iif(sign_ins = 1, ?4, ?5), 1 FROM users WHERE uid = ?1 AND changes() = 1
         ON CONFLICT (hour, name, label) DO UPDATE SET n = n + 1",
        uid,
        now.hour(),
        name,
        new,
        returning
    )
}

impl Counts for D1Store<'_> {
    async fn add_counts(&self, counted: &[Counted]) -> Result<(), Error> {
        if !self.counts.get() {
            return Ok(());
        }
        let row = |(hour, what, sum): &Counted| {
            let [name, label] = what.names();
            format!(r#"[{},"{name}","{label}",{},{}]"#, hour.seconds(), sum.n, sum.total)
        };
        let rows: Vec<_> = counted.iter().map(row).collect();
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

    async fn roll_up(&self, since: UnixTime, now: UnixTime) -> Result<(), Error> {
        let [paid, label] = Count::Paid.names();
        let statements = vec![
            query!(
                "INSERT INTO counts (hour, name, label, n, total)
                 SELECT updated_at - updated_at % 3600, ?2, ?3, count(*), sum(amount_stroops)
                 FROM payments WHERE state = 'paid' AND updated_at >= ?1 GROUP BY 1
                 ON CONFLICT (hour, name, label) DO UPDATE SET
                   n = excluded.n, total = excluded.total
                   WHERE n <> excluded.n OR total <> excluded.total",
                since,
                paid,
                label
            ),
            query!(
                "INSERT INTO days (day, name, label, n, total)
                 SELECT hour - hour % 86400, name, label, sum(n), sum(total)
                 FROM counts WHERE hour >= ?1 GROUP BY 1, 2, 3
                 ON CONFLICT (day, name, label) DO UPDATE SET
                   n = excluded.n, total = excluded.total
                   WHERE n <> excluded.n OR total <> excluded.total",
                since
            ),
            query!(
                "DELETE FROM counts WHERE (hour, name, label) IN (
                   SELECT hour, name, label FROM counts WHERE hour < ?1 ORDER BY hour LIMIT ?2)",
                now.hour().minus(HOURS_KEPT),
                MAX_DELETED
            ),
            query!("DELETE FROM days WHERE day < ?1", now.day().minus(DAYS_KEPT)),
            query!(
                "INSERT INTO marks (name, at, value) VALUES ('roll_up', ?1, '')
                 ON CONFLICT (name) DO UPDATE SET at = excluded.at",
                now
            ),
        ];
        self.batch_of(statements).await?;
        Ok(())
    }

    async fn take_stock(&self, with_active: bool, now: UnixTime) -> Result<(), Error> {
        let mut statements = vec![
            query!(
                "INSERT INTO marks (name, at, value)
                 SELECT 'users', ?1, count(*) FROM users WHERE erased_at IS NULL
                 ON CONFLICT (name) DO UPDATE SET at = excluded.at, value = excluded.value",
                now
            ),
            query!(
                "INSERT INTO marks (name, at, value)
                 SELECT 'live_sessions', ?1, count(*) FROM live_sessions WHERE expires_at > ?1
                 ON CONFLICT (name) DO UPDATE SET at = excluded.at, value = excluded.value",
                now
            ),
        ];
        if with_active {
            // This runs in the first minutes of a day. A session that was refreshed in them was
            // almost certainly active on the day before, and says so no longer.
            let [name, label] = Count::ActiveUser.names();
            statements.push(query!(
                "INSERT INTO days (day, name, label, n)
                 SELECT ?1, ?3, ?4, count(DISTINCT uid) FROM sessions
                 WHERE last_seen_at >= ?1 AND created_at < ?2
                 ON CONFLICT (day, name, label) DO UPDATE SET n = excluded.n",
                now.day().minus(DAY),
                now.day(),
                name,
                label
            ));
        }
        self.batch_of(statements).await?;
        Ok(())
    }
}
