//! Payments: `GET /v2/payments/{id}`, and `approve`, `complete` and `cancel` below it, with the
//! Server API Key. Documented in `platform_API.md` and `payments.md` of
//! <https://github.com/pi-apps/pi-platform-docs>. The error codes are those of Pi's own clients.

use http::{Method, Request, Response, StatusCode, header};
use serde::Deserialize;

use super::{Amount, Deadline, Error, Refusal, ServerApiKey, Transport, Unreachable, answer};
use crate::{
    identifier::Identifier,
    json::{self, Value},
};

/// The longest id of an order that is looked up. Ids of this service have 22 characters.
const MAX_ORDER_ID: usize = 128;

/// A payment as Pi has it at the time of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Pi's id.
    pub id: Identifier,
    /// The payer.
    pub uid: Identifier,
    /// The amount.
    pub amount: Amount,
    /// `metadata.orderId`. The payer's browser wrote it, so it proves nothing.
    pub order_id: Option<Identifier>,
    /// Whether the payment is from a user to the app. Payments of 2022 lack it.
    pub is_user_to_app: Option<bool>,
    /// `Pi Network` or `Pi Testnet`. Payments of 2022 lack it.
    pub network: Option<String>,
    /// Approved by the app.
    pub is_approved: bool,
    /// Completed by the app: paid.
    pub is_completed: bool,
    /// Cancelled by the app, by Pi or by the user.
    pub is_cancelled: bool,
    /// The transaction on the chain, once there is one.
    pub transaction: Option<Transaction>,
}

/// A transaction on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its hash.
    pub txid: TxId,
    /// Whether Pi found it on the chain and verified it.
    pub is_verified: bool,
}

/// The hash of a transaction: 64 hexadecimal digits, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TxId(String);

impl TxId {
    /// The hash with this text, if it has the right form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self(text.to_ascii_lowercase()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A step that the app takes with a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step<'a> {
    Get,
    Approve,
    Complete(&'a TxId),
    Cancel,
}

/// The app's payments at Pi.
#[derive(Clone, Copy, Debug)]
pub struct Payments<'a, T> {
    /// Sends requests to Pi.
    pub transport: &'a T,
    /// Pi's origin, without a slash at its end.
    pub base: &'a str,
    /// The app's key.
    pub key: &'a ServerApiKey,
}

impl<T: Transport> Payments<'_, T> {
    /// Reads a payment. After a broken connection, it tries once more, because reading changes
    /// nothing.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::NotFound`] also for the payment of another app.
    pub async fn get(&self, id: &Identifier) -> Result<Payment, Error> {
        match self.send(id, Step::Get).await {
            Err(Error::Unreachable(Unreachable::Connection)) => self.send(id, Step::Get).await,
            answer => answer,
        }
    }

    /// Lets the user sign and pay.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn approve(&self, id: &Identifier) -> Result<Payment, Error> {
        self.act(id, Step::Approve, |payment| payment.is_approved).await
    }

    /// Marks the payment as paid with this transaction.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn complete(&self, id: &Identifier, txid: &TxId) -> Result<Payment, Error> {
        let is_done = |payment: &Payment| {
            let transaction = payment.transaction.as_ref();
            payment.is_completed && transaction.is_some_and(|found| found.txid == *txid)
        };
        self.act(id, Step::Complete(txid), is_done).await
    }

    /// Cancels the payment.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn cancel(&self, id: &Identifier) -> Result<Payment, Error> {
        self.act(id, Step::Cancel, |payment| payment.is_cancelled).await
    }

    /// Takes a step. If the answer is lost, or Pi refuses because the step was taken before, it
    /// reads the payment to learn whether the step has happened. A step is never sent twice without
    /// that.
    async fn act(
        &self,
        id: &Identifier,
        step: Step<'_>,
        is_done: impl Fn(&Payment) -> bool,
    ) -> Result<Payment, Error> {
        let error = match self.send(id, step).await {
            Ok(payment) if is_done(&payment) => return Ok(payment),
            Ok(_) => Error::Unreadable("the payment is not what the step should have made of it"),
            Err(error) => error,
        };
        let in_doubt = matches!(
            error,
            Error::Unreachable(_)
                | Error::Unavailable { .. }
                | Error::Unreadable(_)
                | Error::Declined(_)
        );
        if !in_doubt {
            return Err(error);
        }
        // After "already completed", only a read shows by which transaction. If that read fails,
        // the step may have been taken. The caller must then ask again, and must not treat this as
        // a refusal.
        let is_taken = matches!(&error, Error::Declined(Some(code))
            if matches!(code.as_str(), "already_approved" | "already_completed"));
        match self.get(id).await {
            Ok(payment) if is_done(&payment) => Ok(payment),
            Err(unread) if is_taken => Err(unread),
            _ => Err(error),
        }
    }

    async fn send(&self, id: &Identifier, step: Step<'_>) -> Result<Payment, Error> {
        let response = self.transport.send(self.request(id, step)?).await?;
        let payment = read(&response, self.key)?;
        // An answer about another payment is not valid.
        if payment.id == *id { Ok(payment) } else { Err(Error::Unreadable("another payment")) }
    }

    fn request(&self, id: &Identifier, step: Step<'_>) -> Result<Request<Vec<u8>>, Error> {
        // An identifier has no character that could change the path.
        let url = format!("{}/v2/payments/{id}", self.base);
        let deadline = match step {
            Step::Complete(_) => Deadline::LONG,
            _ => Deadline::SHORT,
        };
        let (method, url, body) = match step {
            Step::Get => (Method::GET, url, None),
            Step::Approve => (Method::POST, url + "/approve", None),
            Step::Cancel => (Method::POST, url + "/cancel", None),
            Step::Complete(txid) => {
                let body = format!(r#"{{"txid":"{}"}}"#, txid.as_str());
                (Method::POST, url + "/complete", Some(body.into_bytes()))
            }
        };
        answer::request(method, url, &self.key.authorization(), body, deadline)
    }
}

/// Reads an answer: (1) the status, (2) the PaymentDTO.
fn read(response: &Response<Vec<u8>>, key: &ServerApiKey) -> Result<Payment, Error> {
    // (1)
    match response.status() {
        StatusCode::OK => {}
        status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
            return Err(refused(response, key));
        }
        _ => return Err(answer::other(response)),
    }
    // (2)
    let dto: PaymentDto = answer::read(response, "not a PaymentDTO")?;
    let text = answer::text(response);
    let amount = json::text_of(text.as_bytes(), "amount");
    let amount = amount.ok_or(Error::Unreadable("not a PaymentDTO"))?;
    let amount = Amount::parse(amount).ok_or(Error::Unreadable("the amount is no amount"))?;
    let transaction = dto.transaction.map(|transaction| {
        let txid = TxId::parse(&transaction.txid);
        txid.map(|txid| Transaction { txid, is_verified: transaction.verified == Some(true) })
    });
    let transaction = match transaction {
        Some(None) => return Err(Error::Unreadable("the transaction's id is none")),
        found => found.flatten(),
    };
    let status = dto.status.unwrap_or_default();
    // An app may store anything there.
    let order_id = match dto.metadata {
        Some(Value::Object(mut members)) => members.take("orderId"),
        _ => None,
    };
    let order_id = match order_id {
        Some(Value::String(id)) if id.len() <= MAX_ORDER_ID => Identifier::parse(id),
        _ => None,
    };
    Ok(Payment {
        id: dto.identifier,
        uid: dto.user_uid,
        amount,
        order_id,
        is_user_to_app: dto.direction.map(|direction| direction == "user_to_app"),
        network: dto.network,
        is_approved: status.developer_approved == Some(true),
        is_completed: status.developer_completed == Some(true),
        is_cancelled: status.cancelled == Some(true) || status.user_cancelled == Some(true),
        transaction,
    })
}

/// Why Pi refused. A 401 with one of Pi's codes is about the payment; one without is about the key.
/// An HTML page comes from a proxy, not from Pi.
pub(super) fn refused(response: &Response<Vec<u8>>, key: &ServerApiKey) -> Error {
    if response.headers().contains_key(header::CONTENT_TYPE) && !answer::is_json(response) {
        return Error::Unreadable("an unexpected status");
    }
    let code = answer::read::<ErrorDto>(response, "not an error").ok().map(|error| error.error);
    let code = code.and_then(|code| Refusal::new(code, key));
    match (response.status(), code) {
        (StatusCode::NOT_FOUND, _) => Error::NotFound,
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, None) => Error::KeyRefused,
        (_, code) => Error::Declined(code),
    }
}

/// Pi's name of the object. Members that are not needed are not read. Members that payments of 2022
/// lack may be absent.
#[derive(Deserialize)]
struct PaymentDto {
    identifier: Identifier,
    user_uid: Identifier,
    metadata: Option<Value>,
    direction: Option<String>,
    network: Option<String>,
    status: Option<StatusDto>,
    transaction: Option<TransactionDto>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct StatusDto {
    developer_approved: Option<bool>,
    developer_completed: Option<bool>,
    cancelled: Option<bool>,
    user_cancelled: Option<bool>,
}

#[derive(Deserialize)]
struct TransactionDto {
    txid: String,
    verified: Option<bool>,
}

#[derive(Deserialize)]
struct ErrorDto {
    error: String,
}
