//! What operators read, from the stores in memory. It is the reference of how a store answers them.

use super::*;
use pioneer_session::{
    payment::{Known, State},
    service::{
        Entries, Figures, MAX_LIVE_PAID, MAX_STUCK, OrderRow, Page, PaymentRow, Period, Position,
        Records, Schema, Stuck, UserRow, Which,
    },
};

/// The page of rows that are in the order of the list. `key` is a row's place in it.
fn page<T, K: PartialEq>(
    rows: Vec<T>,
    page: Page<'_>,
    key: impl Fn(&T) -> K,
    at: impl Fn(&Position) -> K,
    comes_after: impl Fn(&K, &K) -> bool,
) -> Vec<T> {
    let start = page.after.map(at);
    let rows = rows
        .into_iter()
        .filter(|row| start.as_ref().is_none_or(|start| comes_after(&key(row), start)));
    rows.take(usize::try_from(page.rows).unwrap()).collect()
}

fn seconds(time: UnixTime) -> u64 {
    u64::try_from(time.seconds()).unwrap()
}

impl Faulty {
    fn user_rows(&self) -> Vec<UserRow> {
        let users = self.memory.users().into_iter();
        users
            .map(|(user, data, sign_ins)| {
                let (blocked_at, blocked_reason) = self.memory.blocked(&user.uid).unzip();
                UserRow {
                    user,
                    sign_ins,
                    blocked_at,
                    blocked_reason,
                    data: data.map(|data| (data.text.len().try_into().unwrap(), data.version)),
                }
            })
            .collect()
    }

    fn payment_row_of(&self, known: Known) -> PaymentRow {
        let Known { record, order, approved_at, looks, problem, due_at } = known;
        let uid = record.uid.clone();
        let username = self.user_rows().into_iter().find(|row| Some(&row.user.uid) == uid.as_ref());
        PaymentRow {
            record,
            username: username.and_then(|row| row.user.username),
            order: order.map(|order| OrderRow {
                product_id: order.product_id,
                stroops: order.amount.stroops(),
                memo: order.memo,
                created_at: order.created_at,
            }),
            approved_at,
            checks: looks,
            next_check_at: due_at,
            problem: problem.map(str::to_owned),
        }
    }
}

impl Records for Faulty {
    async fn user_row(&self, uid: &Identifier) -> Result<Option<UserRow>, Error> {
        self.works()?;
        Ok(self.user_rows().into_iter().find(|row| row.user.uid == *uid))
    }

    async fn newest_users(&self, wanted: Page<'_>) -> Result<Vec<UserRow>, Error> {
        self.works()?;
        let key = |row: &UserRow| (seconds(row.user.first_seen_at), row.user.uid.to_string());
        let mut rows = self.user_rows();
        rows.iter_mut().for_each(|row| row.data = None);
        rows.sort_by_key(|row| std::cmp::Reverse(key(row)));
        Ok(page(rows, wanted, key, |at| (at.number, at.id.clone()), |key, start| key < start))
    }

    async fn users_named(
        &self,
        prefix: &str,
        but: Option<&Identifier>,
        wanted: Page<'_>,
    ) -> Result<Vec<UserRow>, Error> {
        self.works()?;
        let key = |row: &UserRow| {
            let name = row.user.username.as_deref().unwrap_or_default();
            (name.to_ascii_lowercase(), row.user.uid.to_string())
        };
        let prefix = prefix.to_ascii_lowercase();
        let mut rows = self.user_rows();
        rows.retain(|row| {
            row.user.username.is_some()
                && key(row).0.starts_with(&prefix)
                && Some(&row.user.uid) != but
        });
        rows.iter_mut().for_each(|row| row.data = None);
        rows.sort_by_key(key);
        let at = |at: &Position| (at.name.to_ascii_lowercase(), at.id.clone());
        Ok(page(rows, wanted, key, at, |key, start| key > start))
    }

    async fn sessions_of(&self, uid: &Identifier, now: UnixTime) -> Result<Vec<Session>, Error> {
        Ok(self.works()?.live_sessions(uid, now))
    }

    async fn stored_sessions_of(
        &self,
        uid: &Identifier,
        rows: u32,
        now: UnixTime,
    ) -> Result<Vec<(Session, bool)>, Error> {
        let mut sessions = self.works()?.stored_sessions(uid, now);
        sessions.truncate(rows.try_into().unwrap());
        Ok(sessions)
    }

    async fn payment_rows(
        &self,
        which: Which<'_>,
        wanted: Page<'_>,
    ) -> Result<Vec<PaymentRow>, Error> {
        let mut rows = self.books()?.known();
        rows.retain(|Known { record, .. }| {
            let is_open = !record.state.is_final();
            match which {
                Which::All => true,
                Which::Unfinished => is_open,
                Which::Stuck(before) => is_open && record.created_at < before,
                Which::Paid => record.state == State::Paid,
                Which::Cancelled => record.state == State::Cancelled,
                Which::Named(text) => {
                    record.id.as_str() == text
                        || record.order_id.as_ref().is_some_and(|id| id.as_str() == text)
                        || record.txid.as_ref().is_some_and(|txid| txid.as_str() == text)
                }
                Which::Of(uid) => record.uid.as_ref() == Some(uid),
            }
        });
        let place = |Position { number, id, .. }: Position| (number, id);
        let key = |row: &Known| place(which.position(&row.record));
        rows.sort_by_key(key);
        let is_oldest_first = matches!(which, Which::Stuck(_));
        if !is_oldest_first {
            rows.reverse();
        }
        let at = |at: &Position| place(at.clone());
        let rows = page(rows, wanted, key, at, |key, start| {
            (key > start) == is_oldest_first && key != start
        });
        Ok(rows.into_iter().map(|known| self.payment_row_of(known)).collect())
    }

    async fn payment_row(&self, id: &Identifier) -> Result<Option<PaymentRow>, Error> {
        let found = self.books()?.known().into_iter().find(|known| known.record.id == *id);
        Ok(found.map(|known| self.payment_row_of(known)))
    }

    async fn all_products(&self) -> Result<Vec<(Product, bool)>, Error> {
        let books = self.books()?;
        let lists = [(&books.products, true), (&books.stopped, false)];
        let mut products: Vec<_> = lists
            .into_iter()
            .flat_map(|(list, is_active)| {
                list.borrow().clone().into_iter().map(move |it| (it, is_active))
            })
            .collect();
        products.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        Ok(products)
    }

    async fn orders_of(&self, uid: &Identifier, rows: u32) -> Result<Vec<Order>, Error> {
        let mut orders = self.books()?.orders_of(uid);
        orders.truncate(rows.try_into().unwrap());
        Ok(orders)
    }

    async fn ads_of(
        &self,
        uid: &Identifier,
        rows: u32,
    ) -> Result<Vec<(Identifier, UnixTime)>, Error> {
        let mut ads = self.books()?.ads_of(uid);
        ads.truncate(rows.try_into().unwrap());
        Ok(ads)
    }

    async fn entries(&self, which: Entries<'_>, wanted: Page<'_>) -> Result<Vec<AuditRow>, Error> {
        self.works()?;
        let (stored, known) = (self.stored.borrow(), self.payments.known());
        let rows = stored.audit.iter().rev().filter(|row| match which {
            Entries::All => true,
            Entries::By(actor) => row.actor == actor,
            Entries::About(id) => row.target.as_deref().is_some_and(|target| {
                let mut payments = known.iter().map(|known| &known.record);
                target == id
                    || payments.any(|record| {
                        record.id.as_str() == target
                            && record.uid.as_ref().is_some_and(|uid| uid.as_str() == id)
                    })
            }),
            Entries::Of(action) => row.action == action,
        });
        let rows = rows.cloned().collect();
        Ok(page(rows, wanted, |row| row.id, |at| at.number, |key, start| key < start))
    }

    async fn schema(&self) -> Result<Schema, Error> {
        self.works()?;
        Ok(Schema {
            newest: "0010_contradictory_payments.sql",
            missing: self.stored.borrow().missing.clone(),
        })
    }

    async fn figures(&self, period: &Period) -> Result<Figures, Error> {
        self.works()?;
        let stored = self.stored.borrow();
        if stored.lacks_tables {
            return Err(Error { reason: "D1_ERROR: no such index: payments_unfinished".into() });
        }
        let mut hours = stored.hours.clone();
        for ((hour, name, label), Sum { n, total }) in &*self.numbers.borrow() {
            let (name, label) = ((*name).to_owned(), (*label).to_owned());
            hours.push(Number { at: at(*hour), name, label, n: *n, total: *total });
        }
        let (from, to) = period.earlier;
        hours.retain(|number| (from..=to).contains(&number.at) || number.at >= period.hours_since);
        let mut days = stored.days.clone();
        days.retain(|number| {
            period.days_since.is_some_and(|since| number.at >= since)
                || (number.at == period.yesterday && number.name == "active_user")
        });
        let rolled_up = stored.marks.iter().find(|mark| mark.name == "roll_up");
        let since = rolled_up.map_or(UnixTime::MIN, |mark| mark.at.hour()).max(period.hours_since);
        let known = self.payments.known();
        let mut paid: Vec<_> = known
            .iter()
            .map(|known| &known.record)
            .filter(|record| record.state == State::Paid && record.updated_at >= since)
            .collect();
        paid.sort_by_key(|record| std::cmp::Reverse(record.updated_at));
        let paid = paid.into_iter().take(MAX_LIVE_PAID.try_into().unwrap()).map(|record| Number {
            at: record.updated_at.hour(),
            name: "paid".into(),
            label: String::new(),
            n: 1,
            total: record.amount.stroops(),
        });
        let mut stuck: Vec<Stuck> = known
            .iter()
            .filter(|Known { record, .. }| {
                !record.state.is_final() && record.created_at < period.stuck_before
            })
            .map(|known| Stuck {
                since: known.record.created_at,
                problem: known.problem.map(str::to_owned),
                is_given_up: known.due_at.is_none(),
            })
            .collect();
        stuck.sort_by_key(|payment| payment.since);
        stuck.truncate(usize::try_from(MAX_STUCK).unwrap() + 1);
        let mut contradictory: Vec<UnixTime> = known
            .iter()
            .map(|known| &known.record)
            .filter(|record| record.state != State::Paid && record.txid.is_some())
            .map(|record| record.updated_at)
            .filter(|at| *at >= period.contradictory_since)
            .collect();
        contradictory.sort();
        contradictory.reverse();
        let marks = stored.marks.clone();
        Ok(Figures { hours, days, paid: paid.collect(), marks, stuck, contradictory })
    }
}
