//! The deeds of operators and backends in D1. A deed and its entry in the audit are one batch, so
//! neither is stored without the other. Without the table of the audit, no deed is done.

use super::{D1Store, Statement, payment, query, session};
use crate::{
    audit::Entry,
    identifier::Identifier,
    service::{Deed, Deeds},
    session::Error,
    time::UnixTime,
};

/// Adds an entry to the audit, on this condition.
macro_rules! add_entry {
    ($entry:expr, $now:expr, $condition:literal) => {
        query!(
            concat!(
                "INSERT INTO audit (at, actor, via, action, target, detail, request_id)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE ",
                $condition
            ),
            $now,
            $entry.actor,
            $entry.via.name(),
            $entry.action.name(),
            $entry.target,
            $entry.detail,
            $entry.request_id
        )
    };
}

impl Deeds for D1Store<'_> {
    async fn keep_entry(&self, entry: &Entry, now: UnixTime) -> Result<(), Error> {
        self.run(add_entry!(entry, now, "true")).await?;
        Ok(())
    }

    async fn act(&self, deed: Deed<'_>, entry: &Entry, now: UnixTime) -> Result<bool, Error> {
        let (mut statements, decisive) = statements(deed, now);
        // `changes()` is the number of rows that the statement before has changed.
        let after = decisive.saturating_add(1).min(statements.len());
        statements.insert(after, add_entry!(entry, now, "changes() > 0"));
        let outcomes = self.batch_of(statements).await?;
        Ok(outcomes.get(decisive).is_some_and(|outcome| outcome.changes() > 0))
    }

    async fn was_erased(&self, uid: &Identifier) -> Result<bool, Error> {
        let found = query!(
            "SELECT 1 FROM users WHERE uid = ?1 AND erased_at IS NOT NULL
             UNION ALL SELECT 1 FROM audit WHERE target = ?1 AND action = 'user.erased'
             LIMIT 1",
            uid
        );
        Ok(!self.run(found).await?.is_empty())
    }
}

/// The statements of a deed, and the place of the one that changes a row exactly if the deed is
/// done.
fn statements(deed: Deed<'_>, now: UnixTime) -> (Vec<Statement>, usize) {
    match deed {
        Deed::RevokeSession(sid) => (vec![session::revoke(sid, now)], 0),
        Deed::RevokeUser(uid) => (session::revoke_user(uid, now).into(), 0),
        // A new epoch begins in any case.
        Deed::RevokeEveryone => (session::revoke_everyone(now).into(), 1),
        Deed::Block(uid, reason) => (session::block(uid, reason, now).into(), 0),
        Deed::Unblock(uid) => (vec![session::unblock(uid)], 0),
        Deed::Erase(uid, limit) => (session::erase_user(uid, limit, now), session::ERASED_BY),
        Deed::AddProduct(product) => (vec![payment::add_product(product)], 0),
        Deed::ChangeOffer(from, to) => (vec![payment::change_offer(from, to)], 0),
        Deed::ApprovePayment(id) => (payment::approve(id, now, true).into(), 0),
        Deed::Pay(id, txid) => (payment::pay(id, txid, now).into(), 0),
        Deed::KeepTransaction(id, txid) => (vec![payment::keep_transaction(id, txid, now)], 0),
        Deed::CancelPayment(id, uid, amount) => (payment::cancel(id, uid, amount, now).into(), 0),
    }
}
