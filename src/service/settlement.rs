//! Brings one payment to its end: approves, completes, cancels or recovers it, both for its user
//! ([`super::payment`]) and for the clock ([`super::reconciliation`]).
//!
//! Every check comes before every write and before every use of the app's key. Every step can be
//! repeated and then returns the same result.

use std::cell::Cell;

use super::{
    admin::deeds::{Deed, Deeds},
    app::{App, Ports},
    error::Error,
    problem::Code,
};
use crate::{
    audit::{Action, Entry},
    identifier::Identifier,
    payment::{Claim, Mismatch, Paid, Record, State, Store as _, check, check_origin},
    pi::{self, Payment, Payments, TxId},
    time::UnixTime,
};

thread_local! {
    /// How many payments in a row Pi did not know, for the log. With the key of another app or
    /// network, Pi knows none; a made-up payment is one among others that Pi knows.
    static UNKNOWN: Cell<u32> = const { Cell::new(0) };
}

/// Payments that were just stored are not deleted.
const GONE: Error = Error::Internal("a stored payment is gone");

/// The step for which a payment is admitted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Approval,
    Completion,
}

/// One payment, the app's store and Pi.
pub(super) struct Settlement<'a, 'b, P: Ports> {
    pub(super) app: &'a App<'b, P>,
    payments: Payments<'a, P::Transport>,
    pub(super) id: &'a Identifier,
    /// The operator's entry, if an operator acts.
    audited: Option<&'a Audited>,
}

/// The entry of the audit about an operator's step with a payment. It is stored with the first
/// change of the payment. Before Pi is asked to change something, another entry says so: whatever
/// happens then, the audit knows who asked.
pub(super) struct Audited {
    entry: Entry,
    before: State,
    is_kept: Cell<bool>,
}

impl Audited {
    /// `before` is the state of the payment before the step.
    pub(super) const fn new(entry: Entry, before: State) -> Self {
        Self { entry, before, is_kept: Cell::new(false) }
    }

    fn entry(&self, after: State, failed: Option<Code>) -> Entry {
        let [before, after] = [self.before, after].map(State::name);
        let problem = failed.map_or_else(String::new, |code| format!(r#","problem":"{code}""#));
        let detail = format!(r#"{{"before":"{before}","after":"{after}"{problem}}}"#);
        self.entry.clone().with_detail(detail)
    }

    /// Changes the payment to this state, and stores the entry with it.
    async fn act(
        &self,
        store: &impl Deeds,
        deed: Deed<'_>,
        (after, failed): (State, Option<Code>),
        now: UnixTime,
    ) -> Result<(), Error> {
        let is_done = store.act(deed, &self.entry(after, failed), now).await?;
        self.is_kept.set(self.is_kept.get() || is_done);
        Ok(())
    }

    /// Stores that Pi is asked for this step.
    async fn ask(&self, store: &impl Deeds, step: &str, now: UnixTime) -> Result<(), Error> {
        let entry = Entry { action: Action::PaymentAsked, ..self.entry.clone() };
        let detail = format!(r#"{{"step":"{step}"}}"#);
        Ok(store.keep_entry(&entry.with_detail(detail), now).await?)
    }

    /// Stores the entry, if the step has changed nothing: with the payment's state after it, and
    /// the code of the failure, if there was one.
    pub(super) async fn keep_unchanged(
        &self,
        store: &impl Deeds,
        after: State,
        failed: Option<Code>,
        now: UnixTime,
    ) -> Result<(), Error> {
        if !self.is_kept.get() {
            store.keep_entry(&self.entry(after, failed), now).await?;
        }
        Ok(())
    }
}

impl<'a, 'b, P: Ports> Settlement<'a, 'b, P> {
    /// # Errors
    /// [`Error::Misconfigured`] without the app's key.
    pub(super) fn new(app: &'a App<'b, P>, id: &'a Identifier) -> Result<Self, Error> {
        let (transport, base) = (&app.transport, app.settings.pi_api_base.as_str());
        let key = app.settings.server_api_key()?;
        Ok(Self { app, payments: Payments { transport, base, key }, id, audited: None })
    }

    /// The same, for an operator.
    pub(super) fn audited(self, audited: &'a Audited) -> Self {
        Self { audited: Some(audited), ..self }
    }
}

impl<P: Ports> Settlement<'_, '_, P> {
    /// 1. Checks the stored payment: 403 `payment_not_yours`, 409 `payment_cancelled`, or the
    ///    stored result of an earlier approval.
    /// 2. Reads Pi's record and admits it: 403, 404, 409, 422. See [`Settlement::admit`].
    /// 3. Has Pi approve it, unless Pi has: 502 `pi_refused`, 503, 504.
    /// 4. Stores the approval.
    pub(super) async fn approve(
        &self,
        uid: &Identifier,
        stored: Option<Record>,
    ) -> Result<Record, Error> {
        // (1)
        let stored = self.own_record(uid, stored).await?;
        match &stored {
            Some(record) if record.state == State::Cancelled => {
                return Err(Error::PaymentCancelled);
            }
            Some(record) if record.state != State::Recorded => return Ok(record.clone()),
            _ => {}
        }
        // (2)
        let payment = self.own_payment(uid).await?;
        self.admit(&payment, Stage::Approval, stored.as_ref()).await?;
        // (3)
        if !payment.is_approved {
            self.payments.approve(self.id).await?;
        }
        // (4)
        let record = self.store_approval().await?;
        if record.state == State::Cancelled { Err(Error::PaymentCancelled) } else { Ok(record) }
    }

    /// 1. Checks the stored payment: 403, 409 `payment_cancelled`, 422 `txid_mismatch`, or the
    ///    stored result of an earlier completion.
    /// 2. Reads Pi's record, and compares its transaction: 403, 404, 422 `txid_mismatch`. Admits
    ///    the payment: 409, 422. See [`Settlement::admit`].
    /// 3. Has Pi complete it, and stores that: see [`Settlement::finish`].
    pub(super) async fn complete(
        &self,
        uid: &Identifier,
        stored: Option<Record>,
        txid: &TxId,
    ) -> Result<Record, Error> {
        // (1)
        let stored = self.own_record(uid, stored).await?;
        match &stored {
            Some(record) if record.state == State::Cancelled => {
                // The caller has a transaction, which may have come after the cancellation.
                self.reject_transaction(&self.own_payment(uid).await?).await?;
                return Err(Error::PaymentCancelled);
            }
            Some(record) if record.state == State::Paid => {
                let is_same = record.txid.as_ref() == Some(txid);
                return if is_same { Ok(record.clone()) } else { Err(Error::TxidMismatch) };
            }
            _ => {}
        }
        // (2)
        let payment = self.own_payment(uid).await?;
        if payment.transaction.as_ref().is_some_and(|found| found.txid != *txid) {
            return Err(Error::TxidMismatch);
        }
        self.admit(&payment, Stage::Completion, stored.as_ref()).await?;
        // (3)
        self.finish(payment, txid).await
    }

    /// Cancels a payment that has no transaction: 403, 404, 409 `payment_has_transaction` or
    /// `order_already_paid`, 422.
    pub(super) async fn cancel(
        &self,
        uid: &Identifier,
        stored: Option<Record>,
    ) -> Result<Record, Error> {
        match self.own_record(uid, stored).await? {
            Some(record) if record.state == State::Paid => return Err(Error::OrderAlreadyPaid),
            Some(record) if record.state == State::Cancelled => return Ok(record),
            _ => {}
        }
        let payment = self.own_payment(uid).await?;
        self.cancel_unpaid(&payment).await
    }

    /// For `onIncompletePaymentFound`.
    ///
    /// 1. Checks the stored payment: 403, 409 `payment_has_transaction`, or the stored final
    ///    result.
    /// 2. Reads Pi's record: 403, 404. Cancels a payment without a transaction.
    /// 3. Admits a payment with a transaction, and completes it: 409, 422, 502, 503, 504.
    pub(super) async fn recover(
        &self,
        uid: &Identifier,
        stored: Option<Record>,
    ) -> Result<Record, Error> {
        // (1)
        let stored = self.own_record(uid, stored).await?;
        if let Some(record) = stored.as_ref().filter(|record| record.state.is_final()) {
            if record.state == State::Cancelled {
                // A transaction may have come after the cancellation.
                self.reject_transaction(&self.own_payment(uid).await?).await?;
            }
            return Ok(record.clone());
        }
        // (2)
        let payment = self.own_payment(uid).await?;
        let Some(txid) = payment.transaction.as_ref().map(|found| found.txid.clone()) else {
            return self.cancel_unpaid(&payment).await;
        };
        // (3)
        self.admit(&payment, Stage::Completion, stored.as_ref()).await?;
        self.finish(payment, &txid).await
    }

    /// Admits a payment for which money may move, and stores it.
    ///
    /// 1. It is not cancelled: 409.
    /// 2. It is the payment that its order asks for: 422 `payment_mismatch`. For an approval, the
    ///    order is open: 409 `order_expired`. If Pi has approved the payment, the user may have
    ///    paid, so it is admitted regardless of the order's age.
    /// 3. Its order has no other payment: 409 `order_already_paid`. If Pi has cancelled the other
    ///    payment of the same user, and it has no transaction, this payment replaces it.
    async fn admit(
        &self,
        payment: &Payment,
        stage: Stage,
        stored: Option<&Record>,
    ) -> Result<(), Error> {
        // (1)
        self.reject_cancelled(payment, stored).await?;
        // (2)
        let must_be_open = stage == Stage::Approval && !payment.is_approved;
        let Some(other) = self.store(payment, must_be_open).await? else { return Ok(()) };
        // (3)
        if other.state.is_final() {
            return Err(Error::OrderAlreadyPaid);
        }
        let others = self.read(&other.id).await?;
        let is_over = others.is_cancelled && !others.is_completed && others.transaction.is_none();
        if !is_over || others.uid != payment.uid {
            return Err(Error::OrderAlreadyPaid);
        }
        let now = self.app.now();
        self.app.store.cancel_payment(&other.id, &others.uid, others.amount, now).await?;
        match self.store(payment, must_be_open).await? {
            None => Ok(()),
            Some(_) => Err(Error::OrderAlreadyPaid),
        }
    }

    /// Stores a payment that passes every check against its order, in one call. Returns the order's
    /// other payment if there is one; then this one is not stored.
    async fn store(&self, payment: &Payment, must_be_open: bool) -> Result<Option<Record>, Error> {
        let network = &self.app.settings.pi_network;
        check_origin(payment, network).map_err(Error::PaymentMismatch)?;
        let now = self.app.now();
        let order_id = payment.order_id.as_ref();
        let order_id = order_id.ok_or(Error::PaymentMismatch(Mismatch::Order))?;
        let claim = Claim { order_id, uid: &payment.uid, amount: payment.amount, must_be_open };
        let found = self.app.store.record_payment(self.id, &claim, now).await?;
        check(payment, found.as_ref().map(|found| &found.order), network)
            .map_err(Error::PaymentMismatch)?;
        let found = found.ok_or(Error::PaymentMismatch(Mismatch::Order))?;
        if must_be_open && !found.is_open(now) {
            return Err(Error::OrderExpired);
        }
        let stored = found.payment.ok_or(GONE)?;
        Ok((stored.id != *self.id).then_some(stored))
    }

    /// Has Pi complete a stored payment, unless Pi has. Only Pi's answer makes it paid: it must say
    /// that the payment is completed with this transaction, and that Pi found the transaction on
    /// the chain.
    pub(super) async fn finish(&self, payment: Payment, txid: &TxId) -> Result<Record, Error> {
        let payment = if payment.is_completed {
            payment
        } else {
            self.announce("complete").await?;
            self.payments.complete(self.id, txid).await?
        };
        let is_paid = payment.is_completed
            && !payment.is_cancelled
            && payment.transaction.is_some_and(|found| found.txid == *txid && found.is_verified);
        if !is_paid {
            let reason = "a completed payment without its verified transaction";
            return Err(pi::Error::Unreadable(reason).into());
        }
        match self.store_completion(txid).await? {
            Paid::Done(record) => Ok(record),
            Paid::TxidTaken => Err(Error::TxidMismatch),
            Paid::NotOpen => Err(Error::PaymentCancelled),
        }
    }

    /// Has Pi cancel a payment without a transaction, unless Pi has, and stores that. A payment
    /// with a transaction is not cancelled here, even if Pi reports that it is cancelled.
    pub(super) async fn cancel_unpaid(&self, payment: &Payment) -> Result<Record, Error> {
        self.reject_transaction(payment).await?;
        if payment.is_completed {
            return Err(Error::PaymentHasTransaction);
        }
        if !payment.is_cancelled {
            self.announce("cancel").await?;
            self.payments.cancel(self.id).await?;
        }
        let record = self.store_cancellation(payment).await?;
        if record.state.is_final() { Ok(record) } else { Err(Error::PaymentHasTransaction) }
    }

    /// Stores that an operator has Pi asked for this step, if one does.
    async fn announce(&self, step: &str) -> Result<(), Error> {
        match self.audited {
            Some(audited) => audited.ask(&self.app.store, step, self.app.now()).await,
            None => Ok(()),
        }
    }

    pub(super) async fn store_approval(&self) -> Result<Record, Error> {
        let (store, now) = (&self.app.store, self.app.now());
        let Some(audited) = self.audited else {
            return store.approve_payment(self.id, now).await?.ok_or(GONE);
        };
        audited.act(store, Deed::ApprovePayment(self.id), (State::Approved, None), now).await?;
        store.payment(self.id).await?.ok_or(GONE)
    }

    async fn store_completion(&self, txid: &TxId) -> Result<Paid, Error> {
        let (store, now) = (&self.app.store, self.app.now());
        let Some(audited) = self.audited else { return Ok(store.pay(self.id, txid, now).await?) };
        audited.act(store, Deed::Pay(self.id, txid), (State::Paid, None), now).await?;
        Ok(Paid::of(store.payment(self.id).await?, txid))
    }

    async fn store_cancellation(&self, payment: &Payment) -> Result<Record, Error> {
        let (store, now) = (&self.app.store, self.app.now());
        let Payment { uid, amount, .. } = payment;
        let Some(audited) = self.audited else {
            return Ok(store.cancel_payment(self.id, uid, *amount, now).await?);
        };
        let deed = Deed::CancelPayment(self.id, uid, *amount);
        audited.act(store, deed, (State::Cancelled, None), now).await?;
        store.payment(self.id).await?.ok_or(GONE)
    }

    /// 409 for a payment with a transaction. If Pi has verified the transaction and still reports
    /// the payment as cancelled, the user's money may be gone, and only a person can settle that.
    /// The transaction is stored for them.
    pub(super) async fn reject_transaction(&self, payment: &Payment) -> Result<(), Error> {
        let Some(transaction) = &payment.transaction else { return Ok(()) };
        if payment.is_cancelled && transaction.is_verified {
            let (store, now) = (&self.app.store, self.app.now());
            let error = Error::CancelledWithTransaction(self.id.clone());
            match self.audited {
                None => store.keep_transaction(self.id, &transaction.txid, now).await?,
                Some(audited) => {
                    let deed = Deed::KeepTransaction(self.id, &transaction.txid);
                    let after = (audited.before, Some(error.code()));
                    audited.act(store, deed, after, now).await?;
                }
            }
            return Err(error);
        }
        Err(Error::PaymentHasTransaction)
    }

    /// 409 for a payment that Pi has cancelled. If the payment is stored, so is its cancellation.
    async fn reject_cancelled(
        &self,
        payment: &Payment,
        stored: Option<&Record>,
    ) -> Result<(), Error> {
        if !payment.is_cancelled {
            return Ok(());
        }
        self.reject_transaction(payment).await?;
        if stored.is_some() {
            self.cancel_unpaid(payment).await?;
        }
        Err(Error::PaymentCancelled)
    }

    /// The stored payment, if it belongs to the user. A payment of an erased user belongs to the
    /// user that Pi names.
    async fn own_record(
        &self,
        uid: &Identifier,
        stored: Option<Record>,
    ) -> Result<Option<Record>, Error> {
        match stored {
            Some(Record { uid: None, .. }) => {
                self.own_payment(uid).await?;
                self.app.store.adopt(self.id, uid).await?;
                self.app.store.payment(self.id).await?.ok_or(GONE).map(Some)
            }
            Some(record) if record.uid.as_ref() != Some(uid) => Err(Error::PaymentNotYours),
            record => Ok(record),
        }
    }

    async fn own_payment(&self, uid: &Identifier) -> Result<Payment, Error> {
        let payment = self.read(self.id).await?;
        if payment.uid == *uid { Ok(payment) } else { Err(Error::PaymentNotYours) }
    }

    /// Pi's record of a payment, which must be a payment from a user to the app: 422
    /// `payment_mismatch`. Every decision here is about such payments. In the other direction,
    /// `user_uid` names the receiver, and a record without a transaction proves nothing: the money
    /// may be on its way, and a cancellation would make Pi's record wrong.
    ///
    /// The network is not compared here. Cancelling a payment without a transaction moves no money
    /// on any network, and [`check`] compares the network before money counts.
    pub(super) async fn read(&self, id: &Identifier) -> Result<Payment, Error> {
        let payment = match self.payments.get(id).await {
            Err(pi::Error::NotFound) => {
                let unknown = UNKNOWN.get().saturating_add(1);
                UNKNOWN.set(unknown);
                return Err(Error::PaymentUnknown(unknown));
            }
            payment => payment?,
        };
        UNKNOWN.set(0);
        if payment.is_user_to_app == Some(true) {
            Ok(payment)
        } else {
            Err(Error::PaymentMismatch(Mismatch::Direction))
        }
    }
}
