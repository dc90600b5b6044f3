//! `/payments`: the steps of a payment, each bound to the signed-in user and to an order of theirs. Every check comes
//! before every write and before the app's key is used, and every step can be repeated: the answer is the same.

use std::cell::Cell;

use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    App, Error, Misconfigured, Ports, body,
    limit::Limit,
    order::{limited_user, user},
};
use crate::{
    identifier::Identifier,
    payment::{
        Mismatch, ORDER_LIFETIME, Order, Ordered, Paid, Record, Recorded, State, Store as _, check,
    },
    pi::{self, Payment, Payments, ServerApiKey, TxId},
};

/// What the last part of the path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Approve,
    Complete,
    Cancel,
    Recover,
}

impl Step {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "approve" => Self::Approve,
            "complete" => Self::Complete,
            "cancel" => Self::Cancel,
            "recover" => Self::Recover,
            _ => return None,
        })
    }

    pub(super) const fn route(self) -> &'static str {
        match self {
            Self::Approve => "/payments/{paymentId}/approve",
            Self::Complete => "/payments/{paymentId}/complete",
            Self::Cancel => "/payments/{paymentId}/cancel",
            Self::Recover => "/payments/{paymentId}/recover",
        }
    }
}

#[derive(Deserialize)]
struct CompleteBody {
    txid: String,
}

#[derive(Serialize)]
struct PaymentsJson<'a> {
    payments: Vec<PaymentJson<'a>>,
}

/// A payment as every route shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentJson<'a> {
    payment_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<&'a str>,
    state: &'static str,
    amount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    txid: Option<&'a str>,
}

impl<'a> PaymentJson<'a> {
    fn new(record: &'a Record) -> Self {
        Self {
            payment_id: record.id.as_str(),
            order_id: record.order_id.as_ref().map(Identifier::as_str),
            state: record.state.name(),
            amount: record.amount.to_string(),
            // A transaction that has paid for nothing is kept for a person, and a page must not take it for a payment.
            txid: record.txid.as_ref().filter(|_| record.state == State::Paid).map(TxId::as_str),
        }
    }
}

/// `GET /payments`: 200 with one's own, the newest first.
pub(super) async fn list<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let user = user(app, request).await?;
    list_of(app, &user.uid).await
}

/// A user's payments that have come as far as Pi's approval, or were called off.
pub(super) async fn list_of<P: Ports>(
    app: &App<'_, P>,
    uid: &Identifier,
) -> Result<Response<Vec<u8>>, Error> {
    let payments = app.store.payments(uid).await?;
    let shown = payments.iter().filter(|record| record.state != State::Recorded);
    let payments = shown.map(PaymentJson::new).collect();
    Ok(body::json(StatusCode::OK, &PaymentsJson { payments }))
}

/// `POST /payments/{paymentId}/…`: 200 with the payment as it then is.
pub(super) async fn take<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    id: &str,
    step: Step,
) -> Result<Response<Vec<u8>>, Error> {
    let uid = limited_user(app, request, Limit::Payments).await?.uid;
    let id = Identifier::parse(id.to_owned()).ok_or(Error::PaymentNotFound)?;
    let desk = Desk { app, payments: at_pi(app)?, id: &id };
    let record = match step {
        Step::Approve => desk.approve(&uid).await?,
        Step::Complete => {
            let txid = TxId::parse(&body::read::<CompleteBody>(request)?.txid).ok_or(
                Error::InvalidRequest("txid is not the 64 hexadecimal digits that Pi's SDK gives."),
            )?;
            desk.complete(&uid, &txid).await?
        }
        Step::Cancel => desk.cancel(&uid).await?,
        Step::Recover => desk.recover(&uid).await?,
    };
    Ok(body::json(StatusCode::OK, &PaymentJson::new(&record)))
}

/// The app's key: 500 `misconfigured` without one.
pub(super) fn key<'a, P: Ports>(app: &App<'a, P>) -> Result<&'a ServerApiKey, Error> {
    app.settings.pi_api_key.as_ref().ok_or_else(|| {
        let problem = "is missing, and payments, ads and notifications need it".to_owned();
        Error::Misconfigured(Misconfigured { setting: "PI_API_KEY", problem })
    })
}

pub(super) fn at_pi<'a, P: Ports>(
    app: &'a App<'_, P>,
) -> Result<Payments<'a, P::Transport>, Error> {
    let (transport, base) = (&app.transport, app.settings.pi_api_base.as_str());
    Ok(Payments { transport, base, key: key(app)? })
}

thread_local! {
    /// How many payments in a row Pi did not know, for the log. To a key of another app or network, Pi knows none; a payment
    /// that somebody has made up is one among others that it knows.
    static UNKNOWN: Cell<u32> = const { Cell::new(0) };
}

/// One payment, on its way.
pub(super) struct Desk<'a, 'b, P: Ports> {
    pub(super) app: &'a App<'b, P>,
    pub(super) payments: Payments<'a, P::Transport>,
    pub(super) id: &'a Identifier,
}

impl<P: Ports> Desk<'_, '_, P> {
    /// 1. What is known of it: 403 `payment_not_yours`, or the answer of before.
    /// 2. Pi's record of it, and every check: 403, 404, 409, 422; 409 `order_expired` too, unless Pi has approved it: the
    ///    user may have paid then, so that it is taken however old the order is.
    /// 3. Writes it down: 409 `order_already_paid`.
    /// 4. Has Pi approve it, unless Pi has: 502 `pi_refused`, 503, 504.
    /// 5. Writes that down.
    async fn approve(&self, uid: &Identifier) -> Result<Record, Error> {
        // (1)
        match self.own_record(uid).await? {
            Some(record) if record.state == State::Cancelled => {
                return Err(Error::PaymentCancelled);
            }
            Some(record) if record.state != State::Recorded => return Ok(record),
            _ => {}
        }
        // (2)
        let payment = self.own_payment(uid).await?;
        self.refuse_cancelled(&payment).await?;
        let Ordered { order, is_sold, .. } = self.checked_order(&payment).await?;
        let is_open = is_sold && self.app.now() <= order.created_at.plus(ORDER_LIFETIME);
        if !is_open && !payment.is_approved {
            return Err(Error::OrderExpired);
        }
        // (3)
        self.write_down(&order).await?;
        // (4)
        if !payment.is_approved {
            self.payments.approve(self.id).await?;
        }
        // (5)
        self.app.store.approve_payment(self.id, self.app.now()).await?;
        let record = self.record().await?;
        if record.state == State::Cancelled { Err(Error::PaymentCancelled) } else { Ok(record) }
    }

    /// 1. What is known of it: 403, 409 `payment_cancelled`, 422 `txid_mismatch`, or the answer of before.
    /// 2. Pi's record of it, and every check: 403, 404, 409, 422.
    /// 3. Writes it down, if it was not.
    /// 4. Has Pi complete it, and writes that down: see [`Desk::finish`].
    async fn complete(&self, uid: &Identifier, txid: &TxId) -> Result<Record, Error> {
        // (1)
        let known = self.own_record(uid).await?;
        match &known {
            Some(record) if record.state == State::Cancelled => {
                // The caller has a transaction, and it may have come after the cancellation.
                self.refuse_transaction(&self.own_payment(uid).await?).await?;
                return Err(Error::PaymentCancelled);
            }
            Some(record) if record.state == State::Paid => {
                let is_same = record.txid.as_ref() == Some(txid);
                return if is_same {
                    known.ok_or(Error::PaymentNotFound)
                } else {
                    Err(Error::TxidMismatch)
                };
            }
            _ => {}
        }
        // (2)
        let payment = self.own_payment(uid).await?;
        self.refuse_cancelled(&payment).await?;
        let Ordered { order, .. } = self.checked_order(&payment).await?;
        // (3)
        self.write_down(&order).await?;
        // (4)
        self.finish(payment, txid).await
    }

    /// Cancels a payment that nobody has paid: 403, 404, 409 `payment_has_transaction` or `order_already_paid`, 422.
    async fn cancel(&self, uid: &Identifier) -> Result<Record, Error> {
        match self.own_record(uid).await? {
            Some(record) if record.state == State::Paid => return Err(Error::OrderAlreadyPaid),
            Some(record) if record.state == State::Cancelled => return Ok(record),
            _ => {}
        }
        let payment = self.own_payment(uid).await?;
        self.call_off(&payment).await
    }

    /// For `onIncompletePaymentFound`: finishes what has a transaction, and calls off what has none.
    async fn recover(&self, uid: &Identifier) -> Result<Record, Error> {
        let record = self.own_record(uid).await?.filter(|record| record.state.is_final());
        if let Some(record) = record {
            if record.state == State::Cancelled {
                // A transaction may have come after the cancellation.
                self.refuse_transaction(&self.own_payment(uid).await?).await?;
            }
            return Ok(record);
        }
        let payment = self.own_payment(uid).await?;
        let Some(txid) = payment.transaction.as_ref().map(|found| found.txid.clone()) else {
            return self.call_off(&payment).await;
        };
        self.refuse_cancelled(&payment).await?;
        let Ordered { order, .. } = self.checked_order(&payment).await?;
        self.write_down(&order).await?;
        self.finish(payment, &txid).await
    }

    /// Has Pi complete a payment that is written down, unless Pi has. Only Pi's word makes it paid: it is completed,
    /// with this transaction, which Pi has found on the chain.
    pub(super) async fn finish(&self, payment: Payment, txid: &TxId) -> Result<Record, Error> {
        if payment.transaction.as_ref().is_some_and(|found| found.txid != *txid) {
            return Err(Error::TxidMismatch);
        }
        let payment = if payment.is_completed {
            payment
        } else {
            self.payments.complete(self.id, txid).await?
        };
        let is_paid = payment.is_completed
            && !payment.is_cancelled
            && payment.transaction.is_some_and(|found| found.txid == *txid && found.is_verified);
        if !is_paid {
            let reason = "a completed payment without its verified transaction";
            return Err(pi::Error::Unreadable(reason).into());
        }
        match self.app.store.pay(self.id, txid, self.app.now()).await? {
            Paid::Done => self.record().await,
            Paid::TxidTaken => Err(Error::TxidMismatch),
            Paid::NotOpen => Err(Error::PaymentCancelled),
        }
    }

    /// Has Pi cancel a payment without a transaction, unless Pi has, and writes that down. A payment with a transaction is
    /// not cancelled here, even if Pi says that it is.
    pub(super) async fn call_off(&self, payment: &Payment) -> Result<Record, Error> {
        self.refuse_transaction(payment).await?;
        if payment.is_completed {
            return Err(Error::PaymentHasTransaction);
        }
        if !payment.is_cancelled {
            self.payments.cancel(self.id).await?;
        }
        self.app
            .store
            .cancel_payment(self.id, &payment.uid, payment.amount, self.app.now())
            .await?;
        let record = self.record().await?;
        if record.state.is_final() { Ok(record) } else { Err(Error::PaymentHasTransaction) }
    }

    /// 409 for a payment with a transaction. If Pi has verified the transaction and says all the same that the payment is
    /// cancelled, the user's money may be gone, and only a person can settle that: the transaction is kept for them.
    async fn refuse_transaction(&self, payment: &Payment) -> Result<(), Error> {
        let Some(transaction) = &payment.transaction else { return Ok(()) };
        if payment.is_cancelled && transaction.is_verified {
            self.app.store.keep_transaction(self.id, &transaction.txid).await?;
            return Err(Error::CancelledWithTransaction(self.id.clone()));
        }
        Err(Error::PaymentHasTransaction)
    }

    /// What is known of the payment, if it is the user's. One of an erased user is whose Pi says that it is.
    async fn own_record(&self, uid: &Identifier) -> Result<Option<Record>, Error> {
        let record = self.app.store.payment(self.id).await?;
        match record {
            Some(Record { uid: None, .. }) => {
                self.own_payment(uid).await?;
                self.app.store.adopt(self.id, uid).await?;
                self.record().await.map(Some)
            }
            Some(record) if record.uid.as_ref() != Some(uid) => Err(Error::PaymentNotYours),
            record => Ok(record),
        }
    }

    /// 409 for what Pi has cancelled, which is written down if the payment was.
    async fn refuse_cancelled(&self, payment: &Payment) -> Result<(), Error> {
        if !payment.is_cancelled {
            return Ok(());
        }
        self.refuse_transaction(payment).await?;
        if self.app.store.payment(self.id).await?.is_some() {
            self.call_off(payment).await?;
        }
        Err(Error::PaymentCancelled)
    }

    /// Pi's record of a payment, which must be one of a user to the app: 422 `payment_mismatch`. Every decision here is
    /// about such payments. Of one in the other direction, `user_uid` names the receiver, and a record without a
    /// transaction says nothing: the money may be on its way, and cancelling would have Pi's record deny it.
    ///
    /// The network is not compared here. Cancelling a payment without a transaction moves no money on any network, and
    /// [`check`] compares it before money counts.
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

    async fn own_payment(&self, uid: &Identifier) -> Result<Payment, Error> {
        let payment = self.read(self.id).await?;
        if payment.uid == *uid { Ok(payment) } else { Err(Error::PaymentNotYours) }
    }

    /// The order that the payment pays for, after every check.
    async fn checked_order(&self, payment: &Payment) -> Result<Ordered, Error> {
        let found = match &payment.order_id {
            Some(id) => self.app.store.order(id).await?,
            None => None,
        };
        let network = &self.app.settings.pi_network;
        let order = found.as_ref().map(|found| &found.order);
        check(payment, order, network).map_err(Error::PaymentMismatch)?;
        found.ok_or(Error::PaymentMismatch(Mismatch::Order))
    }

    /// Writes the payment down, unless its order has another one. One of the same user that Pi has cancelled makes way, if
    /// it has no transaction.
    async fn write_down(&self, order: &Order) -> Result<(), Error> {
        let store = &self.app.store;
        let Recorded::OrderTaken(other) =
            store.record_payment(self.id, order, self.app.now()).await?
        else {
            return Ok(());
        };
        if other.state.is_final() {
            return Err(Error::OrderAlreadyPaid);
        }
        let payment = self.read(&other.id).await?;
        let is_over =
            payment.is_cancelled && !payment.is_completed && payment.transaction.is_none();
        if !is_over || order.uid.as_ref() != Some(&payment.uid) {
            return Err(Error::OrderAlreadyPaid);
        }
        store.cancel_payment(&other.id, &payment.uid, payment.amount, self.app.now()).await?;
        match store.record_payment(self.id, order, self.app.now()).await? {
            Recorded::Done => Ok(()),
            Recorded::OrderTaken(_) => Err(Error::OrderAlreadyPaid),
        }
    }

    async fn record(&self) -> Result<Record, Error> {
        let record = self.app.store.payment(self.id).await?;
        record.ok_or(Error::Internal("a payment that was written down is gone"))
    }
}
