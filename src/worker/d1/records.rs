//! What operators read, in D1. Every list is read along an index from the beginning of its page, so
//! the number of rows depends on the length of the page only.

use super::{D1Store, Row, payment, query, session};
use crate::{
    identifier::Identifier,
    payment::{Order, Product},
    service::{
        AuditRow, Entries, Figures, MAX_LIVE_PAID, MAX_STUCK, Mark, Number, OrderRow, Page,
        PaymentRow, Period, Records, Schema, Stuck, UserRow, Which,
    },
    session::{Error, Session},
    time::UnixTime,
};

/// As many sessions as a user may have at most (`MAX_SESSIONS_PER_USER`).
const MAX_SESSIONS: u32 = 100;

/// A number and an id that come after every other in a list that begins with the highest.
const HIGHEST: (u64, &str) = (1 << 53, "");
/// A number and an id that come before every other.
const LOWEST: (u64, &str) = (0, "");

/// Where a page begins.
fn start<'a>(page: Page<'a>, first: (u64, &'a str)) -> (u64, &'a str) {
    page.after.map_or(first, |position| (position.number, &position.id))
}

/// The payments for which this condition holds, in this order. `?1` and `?2` say where the page
/// begins, and `?3` how long it is.
macro_rules! payments {
    ($condition:literal, $order:literal) => {
        concat!(
            "SELECT payments.id, order_id, users.uid AS uid, payments.amount_stroops, state, txid,
               payments.created_at, updated_at, username, product_id,
               orders.amount_stroops AS ordered_stroops, memo, orders.created_at AS ordered_at,
               approved_at, looks, due_at, problem
             FROM payments LEFT JOIN orders ON orders.id = order_id
               LEFT JOIN users ON users.uid = payments.uid AND erased_at IS NULL
             WHERE ",
            $condition,
            " ORDER BY ",
            $order,
            " LIMIT ?3"
        )
    };
}

/// The users for which this condition holds, in this order.
macro_rules! users {
    ($condition:literal) => {
        concat!(
            "SELECT uid, username, scopes, first_seen_at, last_seen_at, sign_ins, blocked_at,
               blocked_reason
             FROM users WHERE erased_at IS NULL AND ",
            $condition,
            " LIMIT ?3"
        )
    };
}

/// The entries of the audit for which this condition holds.
macro_rules! entries {
    ($condition:literal) => {
        concat!(
            "SELECT id, at, actor, via, action, target, detail, request_id
             FROM audit WHERE id < ?1",
            $condition,
            " ORDER BY id DESC LIMIT ?2"
        )
    };
}

impl Records for D1Store<'_> {
    async fn user_row(&self, uid: &Identifier) -> Result<Option<UserRow>, Error> {
        let found = self
            .run(query!(
                "SELECT uid, username, scopes, first_seen_at, last_seen_at, sign_ins, blocked_at,
                   blocked_reason, length(CAST(data AS BLOB)) AS bytes, data_version AS version
                 FROM users WHERE uid = ?1 AND erased_at IS NULL",
                uid
            ))
            .await?;
        found.one(user_row)
    }

    async fn newest_users(&self, page: Page<'_>) -> Result<Vec<UserRow>, Error> {
        let (number, id) = start(page, HIGHEST);
        let sql = users!("(first_seen_at, uid) < (?1, ?2) ORDER BY first_seen_at DESC, uid DESC");
        self.run(query!(sql, number, id, page.rows)).await?.all(user_row)
    }

    async fn users_named(
        &self,
        prefix: &str,
        but: Option<&Identifier>,
        page: Page<'_>,
    ) -> Result<Vec<UserRow>, Error> {
        let (name, uid) =
            page.after.map_or((prefix, ""), |position| (&position.name, &position.id));
        // A byte that no text has comes after every name that begins with the prefix. LIKE would
        // give `%` and `_` a meaning, and would not use the index.
        let sql = users!(
            "username COLLATE NOCASE >= ?1 AND (username COLLATE NOCASE > ?1 OR uid > ?2)
               AND username COLLATE NOCASE < ?4 || CAST(x'FF' AS TEXT) AND uid IS NOT ?5
             ORDER BY username COLLATE NOCASE, uid"
        );
        self.run(query!(sql, name, uid, page.rows, prefix, but)).await?.all(user_row)
    }

    async fn sessions_of(&self, uid: &Identifier, now: UnixTime) -> Result<Vec<Session>, Error> {
        let found = self
            .run(query!(
                "SELECT sid, uid, created_at, last_seen_at, refreshes, token_expires_at,
                   tokens_expire_at, expires_at, app_id, thumbprint, user_agent, country
                 FROM live_sessions WHERE uid = ?1 AND expires_at > ?2
                 ORDER BY created_at DESC, sid LIMIT ?3",
                uid,
                now,
                MAX_SESSIONS
            ))
            .await?;
        found.all(session::session)
    }

    async fn stored_sessions_of(
        &self,
        uid: &Identifier,
        rows: u32,
        now: UnixTime,
    ) -> Result<Vec<(Session, bool)>, Error> {
        let found = query!(
            "SELECT sid, uid, created_at, last_seen_at, refreshes, token_expires_at,
               tokens_expire_at, expires_at, app_id, thumbprint, user_agent, country,
               revoked_at IS NULL AND epoch = (SELECT max(epoch) FROM epochs) AND expires_at > ?3
                 AS is_live
             FROM sessions WHERE uid = ?1 ORDER BY created_at DESC, sid LIMIT ?2",
            uid,
            rows,
            now
        );
        self.run(found).await?.all(|mut row| {
            let is_live: u8 = row.take("is_live")?;
            Ok((session::session(row)?, is_live == 1))
        })
    }

    async fn payment_rows(
        &self,
        which: Which<'_>,
        page: Page<'_>,
    ) -> Result<Vec<PaymentRow>, Error> {
        let (number, id) =
            start(page, if matches!(which, Which::Stuck(_)) { LOWEST } else { HIGHEST });
        let plain = |sql: &'static str| query!(sql, number, id, page.rows);
        let statement = match which {
            Which::All => plain(payments!(
                "(payments.created_at, payments.id) < (?1, ?2)",
                "payments.created_at DESC, payments.id DESC"
            )),
            Which::Unfinished => plain(payments!(
                "state IN ('recorded', 'approved')
                 AND (payments.created_at, payments.id) < (?1, ?2)",
                "payments.created_at DESC, payments.id DESC"
            )),
            Which::Stuck(before) => query!(
                payments!(
                    "state IN ('recorded', 'approved') AND payments.created_at < ?4
                     AND (payments.created_at, payments.id) > (?1, ?2)",
                    "payments.created_at, payments.id"
                ),
                number,
                id,
                page.rows,
                before
            ),
            Which::Paid => plain(payments!(
                "state = 'paid' AND (updated_at, payments.id) < (?1, ?2)",
                "updated_at DESC, payments.id DESC"
            )),
            Which::Cancelled => plain(payments!(
                "state = 'cancelled' AND (updated_at, payments.id) < (?1, ?2)",
                "updated_at DESC, payments.id DESC"
            )),
            Which::Named(text) => query!(
                payments!(
                    "(payments.id = ?4 OR order_id = ?4 OR txid = ?4)
                     AND (payments.created_at, payments.id) < (?1, ?2)",
                    "payments.created_at DESC, payments.id DESC"
                ),
                number,
                id,
                page.rows,
                text
            ),
            Which::Of(uid) => query!(
                payments!(
                    "payments.uid = ?4 AND (updated_at, payments.id) < (?1, ?2)",
                    "updated_at DESC, payments.id DESC"
                ),
                number,
                id,
                page.rows,
                uid
            ),
        };
        self.run(statement).await?.all(payment_row)
    }

    async fn payment_row(&self, id: &Identifier) -> Result<Option<PaymentRow>, Error> {
        // `?2` is not used.
        let sql = payments!("payments.id = ?1", "1");
        self.run(query!(sql, id, "", 1_u32)).await?.one(payment_row)
    }

    async fn all_products(&self) -> Result<Vec<(Product, bool)>, Error> {
        let found = self
            .run(query!("SELECT id, name, amount_stroops, active FROM products ORDER BY id"))
            .await?;
        found.all(|mut row| {
            let active: u8 = row.take("active")?;
            Ok((payment::product(row)?, active == 1))
        })
    }

    async fn orders_of(&self, uid: &Identifier, rows: u32) -> Result<Vec<Order>, Error> {
        let found = query!(
            "SELECT id, uid, product_id, amount_stroops, memo, created_at FROM orders
             WHERE uid = ?1 ORDER BY created_at DESC, id LIMIT ?2",
            uid,
            rows
        );
        self.run(found).await?.all(payment::order)
    }

    async fn ads_of(
        &self,
        uid: &Identifier,
        rows: u32,
    ) -> Result<Vec<(Identifier, UnixTime)>, Error> {
        let found = query!(
            "SELECT id, claimed_at FROM ads WHERE uid = ?1 ORDER BY claimed_at DESC, id LIMIT ?2",
            uid,
            rows
        );
        self.run(found).await?.all(|mut row| Ok((row.take("id")?, row.take("claimed_at")?)))
    }

    async fn entries(&self, which: Entries<'_>, page: Page<'_>) -> Result<Vec<AuditRow>, Error> {
        let (number, _) = start(page, HIGHEST);
        let (sql, text) = match which {
            Entries::All => (entries!(" AND ?3 IS NULL"), None),
            Entries::By(actor) => (entries!(" AND actor = ?3"), Some(actor)),
            // Of an erased user, no payment has the uid.
            Entries::About(id) => (
                entries!(
                    " AND target IN (SELECT ?3 UNION ALL SELECT id FROM payments WHERE uid = ?3)"
                ),
                Some(id),
            ),
            Entries::Of(action) => (entries!(" AND action = ?3"), Some(action)),
        };
        self.run(query!(sql, number, page.rows, text)).await?.all(|mut row| {
            Ok(AuditRow {
                id: row.take("id")?,
                at: row.take("at")?,
                actor: row.take("actor")?,
                via: row.take("via")?,
                action: row.take("action")?,
                target: row.take("target")?,
                detail: row.take("detail")?,
                request_id: row.take("request_id")?,
            })
        })
    }

    async fn schema(&self) -> Result<Schema, Error> {
        let newest = self.migrations.last().map(|(name, _)| *name).unwrap_or_default();
        let applied = match self.run(query!("SELECT name FROM d1_migrations")).await {
            Ok(applied) => applied.all(|mut row| row.take::<String>("name"))?,
            // The configuration may name another table, and a failed read will tell.
            Err(error) if error.lacks_migration() => {
                return Ok(Schema { newest, missing: Vec::new() });
            }
            Err(error) => return Err(error),
        };
        let mut missing = Vec::new();
        for (name, _) in self.migrations {
            if !applied.iter().any(|other| other == name) {
                missing.push(*name);
            }
        }
        Ok(Schema { newest, missing })
    }

    async fn figures(&self, period: &Period) -> Result<Figures, Error> {
        let (earlier, until) = period.earlier;
        let statements = [
            query!(
                "SELECT hour AS at, name, label, n, total FROM counts WHERE hour BETWEEN ?1 AND ?2
                 UNION ALL SELECT hour, name, label, n, total FROM counts WHERE hour >= ?3",
                earlier,
                until,
                period.hours_since
            ),
            query!(
                "SELECT day AS at, name, label, n, total FROM days WHERE day >= ?1
                 UNION ALL SELECT day, name, label, n, total FROM days
                 WHERE day = ?2 AND name = 'active_user'",
                period.days_since.unwrap_or(UnixTime::MAX),
                period.yesterday
            ),
            query!(
                "SELECT updated_at - updated_at % 3600 AS at, 'paid' AS name, '' AS label,
                   count(*) AS n, sum(amount_stroops) AS total
                 FROM (
                   SELECT updated_at, amount_stroops FROM payments
                   WHERE state = 'paid' AND updated_at >= max(?1, coalesce(
                     (SELECT at - at % 3600 FROM marks WHERE name = 'roll_up'), 0))
                   ORDER BY updated_at DESC LIMIT ?2)
                 GROUP BY 1",
                period.hours_since,
                MAX_LIVE_PAID
            ),
            query!("SELECT name, at, value FROM marks"),
            // Without the index, this would read every payment.
            query!(
                "SELECT created_at AS since, problem, due_at IS NULL AS is_given_up
                 FROM payments INDEXED BY payments_unfinished
                 WHERE state IN ('recorded', 'approved') AND created_at < ?1
                 ORDER BY created_at LIMIT ?2",
                period.stuck_before,
                MAX_STUCK + 1
            ),
            query!(
                "SELECT updated_at FROM payments INDEXED BY payments_contradictory
                 WHERE txid IS NOT NULL AND state <> 'paid' AND updated_at >= ?1
                 ORDER BY updated_at DESC LIMIT ?2",
                period.contradictory_since,
                MAX_STUCK
            ),
        ];
        let [hours, days, paid, marks, stuck, contradictory] = self.batch(statements).await?;
        Ok(Figures {
            hours: hours.all(number)?,
            days: days.all(number)?,
            paid: paid.all(number)?,
            marks: marks.all(|mut row| {
                Ok(Mark { name: row.take("name")?, at: row.take("at")?, value: row.take("value")? })
            })?,
            stuck: stuck.all(|mut row| {
                let is_given_up: u8 = row.take("is_given_up")?;
                Ok(Stuck {
                    since: row.take("since")?,
                    problem: row.take("problem")?,
                    is_given_up: is_given_up == 1,
                })
            })?,
            contradictory: contradictory.all(|mut row| row.take("updated_at"))?,
        })
    }
}

fn user_row(mut row: Row<'_>) -> Result<UserRow, Error> {
    let data = row.take::<Option<u64>>("bytes")?.zip(row.take("version")?);
    let (sign_ins, blocked_at) = (row.take("sign_ins")?, row.take("blocked_at")?);
    let blocked_reason = row.take("blocked_reason")?;
    // The data itself was not selected.
    let (user, _) = session::user(row)?;
    Ok(UserRow { user, sign_ins, blocked_at, blocked_reason, data })
}

fn payment_row(mut row: Row<'_>) -> Result<PaymentRow, Error> {
    let product_id: Option<Identifier> = row.take("product_id")?;
    let order = match product_id {
        Some(product_id) => Some(OrderRow {
            product_id,
            stroops: row.take("ordered_stroops")?,
            memo: row.take("memo")?,
            created_at: row.take("ordered_at")?,
        }),
        None => None,
    };
    Ok(PaymentRow {
        username: row.take("username")?,
        order,
        approved_at: row.take("approved_at")?,
        checks: row.take("looks")?,
        next_check_at: row.take("due_at")?,
        problem: row.take("problem")?,
        record: payment::record(row)?,
    })
}

fn number(mut row: Row<'_>) -> Result<Number, Error> {
    Ok(Number {
        at: row.take("at")?,
        name: row.take("name")?,
        label: row.take("label")?,
        n: row.take("n")?,
        total: row.take("total")?,
    })
}
