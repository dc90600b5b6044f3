//! The requests that an app makes to Pi with its Server API Key: payments, ads and notifications.
//! Codes, statuses and quirks are those in Pi's documentation, in Pi's own clients and in reports
//! of their users.

use http::{Method, Request, Response, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use super::{
    APP_ID, Answer, HTML, JSON, error_page,
    fault::{FaultKind, Faults, Step},
    ledger::{self, AdStatus, Ledger, Notification, Payment, Refusal},
    respond, too_many_requests,
};
use crate::{json, pi::Amount, time::UnixTime};

/// The key of the simulated app.
pub const SERVER_API_KEY: &str = "simulated-server-api-key";

const MAX_NOTIFICATIONS: usize = 256;

/// The request, and its object.
enum Question<'a> {
    Payment(Step, &'a str),
    Ad(&'a str),
    Notify,
}

impl<'a> Question<'a> {
    fn of(request: &'a Request<Vec<u8>>) -> Option<Self> {
        let path = request.uri().path().strip_prefix("/v2/")?;
        let parts: Vec<&str> = path.split('/').collect();
        Some(match (request.method(), parts.as_slice()) {
            (&Method::GET, ["payments", id]) => Self::Payment(Step::Get, id),
            (&Method::POST, ["payments", id, "approve"]) => Self::Payment(Step::Approve, id),
            (&Method::POST, ["payments", id, "complete"]) => Self::Payment(Step::Complete, id),
            (&Method::POST, ["payments", id, "cancel"]) => Self::Payment(Step::Cancel, id),
            (&Method::GET, ["ads_network", "status", id]) => Self::Ad(id),
            (&Method::POST, ["in_app_notifications", "notify"]) => Self::Notify,
            _ => return None,
        })
    }

    const fn step(&self) -> Step {
        match self {
            Self::Payment(step, _) => *step,
            Self::Ad(_) => Step::Ad,
            Self::Notify => Step::Notify,
        }
    }
}

/// Answers: (1) the route, (2) the key, (3) the body's form, (4) a fault, before or after (5) the
/// step itself.
pub(super) fn answer(
    request: &Request<Vec<u8>>,
    now: UnixTime,
    ledger: &mut Ledger,
    faults: &mut Faults,
) -> Answer {
    // (1)
    let Some(question) = Question::of(request) else {
        return Answer::Whole(respond(404, HTML, b"<html>Not found</html>".to_vec()));
    };
    // (2)
    let authorization = request.headers().get(header::AUTHORIZATION);
    let key = authorization.and_then(|value| value.to_str().ok()?.strip_prefix("Key "));
    if key != Some(SERVER_API_KEY) {
        return Answer::Whole(respond(401, "", Vec::new()));
    }
    // (3) As in 2021. Nobody has reported a change.
    if request.method() == Method::POST && is_json(request) && request.body().is_empty() {
        return Answer::Whole(error_page());
    }
    // (4)
    let fault = faults.next(question.step());
    match fault {
        Some(FaultKind::Html500) => return Answer::Whole(error_page()),
        Some(FaultKind::TooManyRequests) => return Answer::Whole(too_many_requests()),
        Some(FaultKind::Break) => return Answer::Broken,
        Some(FaultKind::LoseAnswer | FaultKind::LoseAnswerHtml500 | FaultKind::Slow) | None => {}
    }
    // (5)
    let response = match question {
        Question::Payment(step, id) => payment(request, step, id, now, ledger),
        Question::Ad(id) => ad(id, ledger),
        Question::Notify => notify(request, now, ledger),
    };
    match fault {
        Some(FaultKind::LoseAnswer) => Answer::Broken,
        Some(FaultKind::LoseAnswerHtml500) => Answer::Whole(error_page()),
        Some(FaultKind::Slow) => Answer::Late,
        _ => Answer::Whole(response),
    }
}

fn payment(
    request: &Request<Vec<u8>>,
    step: Step,
    id: &str,
    now: UnixTime,
    ledger: &mut Ledger,
) -> Response<Vec<u8>> {
    let done = match step {
        Step::Approve => ledger.approve(APP_ID, id, now),
        Step::Cancel => ledger.cancel(APP_ID, id, now),
        Step::Complete => match txid(request) {
            Some(txid) => ledger.complete(APP_ID, id, txid.as_deref(), now),
            None => return error(400, "invalid_arguments", "The body is not what it should be."),
        },
        _ => Ok(()),
    };
    outcome(done, ledger.get(APP_ID, id, now))
}

/// The payment after a step, or why the step was refused.
pub(super) fn outcome(
    done: Result<(), Refusal>,
    payment: Result<&mut Payment, Refusal>,
) -> Response<Vec<u8>> {
    match (done, payment) {
        (Ok(()), Ok(payment)) => write(200, &dto(payment)),
        (Err(refusal), payment) => refused(refusal, payment.ok().as_deref()),
        (Ok(()), Err(refusal)) => refused(refusal, None),
    }
}

/// The txid in the body, if there is one; none for a body that announces JSON and is not JSON. A
/// body that does not announce JSON is not read.
fn txid(request: &Request<Vec<u8>>) -> Option<Option<String>> {
    #[derive(Deserialize)]
    struct CompleteDto {
        txid: Option<String>,
    }
    if !is_json(request) {
        return Some(None);
    }
    json::object::<CompleteDto>(request.body()).ok().map(|body| body.txid)
}

fn ad(id: &str, ledger: &mut Ledger) -> Response<Vec<u8>> {
    let Some((ad, status)) = ledger.ad(APP_ID, id) else {
        return error(404, "not_found", "There is no such ad.");
    };
    let at = milliseconds(ad.watched_at);
    let granted = matches!(status, Some(AdStatus::Granted | AdStatus::Revoked));
    write(
        200,
        &json!({
            "identifier": ad.id,
            "mediator_ack_status": status,
            "mediator_granted_at": granted.then_some(&at),
            "mediator_revoked_at": (status == Some(AdStatus::Revoked)).then_some(&at),
        }),
    )
}

/// Its errors are sentences, not codes.
fn notify(request: &Request<Vec<u8>>, now: UnixTime, ledger: &mut Ledger) -> Response<Vec<u8>> {
    #[derive(Deserialize)]
    struct NotifyDto {
        notifications: Vec<OutgoingDto>,
    }
    #[derive(Deserialize)]
    struct OutgoingDto {
        title: String,
        body: String,
        user_uid: String,
        subroute: String,
    }
    /// Any value, so that a list that is too long is rejected as such.
    #[derive(Deserialize)]
    struct LengthDto {
        notifications: Vec<Value>,
    }
    let sentence = |status, text: &str| write(status, &json!({ "error": text }));
    let length = json::object::<LengthDto>(request.body()).map(|dto| dto.notifications.len());
    if length.is_ok_and(|length| length > MAX_NOTIFICATIONS) {
        return sentence(400, "At most 256 notifications can be sent in one request");
    }
    let Ok(NotifyDto { notifications }) = json::object(request.body()) else {
        return sentence(422, "title, body, user_uid and subroute are required");
    };
    let is_whole = |one: &OutgoingDto| {
        ![&one.title, &one.body, &one.user_uid].iter().any(|text| text.is_empty())
            && one.subroute.starts_with('/')
    };
    if !notifications.iter().all(is_whole) {
        return sentence(422, "title, body, user_uid and subroute are required");
    }
    let uids: Vec<&str> = notifications.iter().map(|one| one.user_uid.as_str()).collect();
    let over = ledger.over_quota(&uids, now);
    if !over.is_empty() {
        return sentence(403, &format!("Daily quota exceeded for {}", over.join(", ")));
    }
    let consenting = notifications.iter().filter(|one| ledger::takes_notifications(&one.user_uid));
    let delivered: Vec<Value> = consenting
        .map(|one| ledger.notify(&one.title, &one.body, &one.user_uid, &one.subroute, now))
        .map(|one| notification(&one))
        .collect();
    write(201, &json!({ "success": true, "delivered_notifications": delivered }))
}

pub(super) fn notification(one: &Notification) -> Value {
    json!({
        "id": one.id,
        "title": one.title,
        "body": one.body,
        "user_uid": one.user_uid,
        "subroute": one.subroute,
        "seen_at": null,
        "dismissed_at": null,
    })
}

/// Pi's name of the object, with every member that has been seen.
#[derive(Serialize)]
pub(super) struct PaymentDto<'a> {
    identifier: &'a str,
    user_uid: &'a str,
    amount: Option<Box<RawValue>>,
    memo: &'a str,
    metadata: &'a Value,
    from_address: String,
    to_address: String,
    direction: &'a str,
    created_at: String,
    network: &'a str,
    status: StatusDto,
    transaction: Option<TransactionDto<'a>>,
    split_recipients: Option<()>,
    token_canonical: Option<()>,
}

#[derive(Serialize)]
struct StatusDto {
    developer_approved: bool,
    transaction_verified: bool,
    developer_completed: bool,
    cancelled: bool,
    user_cancelled: bool,
}

#[derive(Serialize)]
struct TransactionDto<'a> {
    txid: &'a str,
    verified: bool,
    #[serde(rename = "_link")]
    link: String,
}

pub(super) fn dto(payment: &Payment) -> PaymentDto<'_> {
    let transaction = payment.transaction.as_ref();
    let (mut from, mut to) = (&payment.uid, &payment.app_id);
    if payment.direction == "app_to_user" {
        (from, to) = (to, from);
    }
    PaymentDto {
        identifier: &payment.id,
        user_uid: &payment.uid,
        amount: RawValue::from_string(number(payment.amount)).ok(),
        memo: &payment.memo,
        metadata: &payment.metadata,
        from_address: ledger::address(from),
        to_address: ledger::address(to),
        direction: payment.direction,
        created_at: milliseconds(payment.created_at),
        network: payment.network,
        status: StatusDto {
            developer_approved: payment.is_approved,
            transaction_verified: transaction.is_some_and(|transaction| transaction.is_verified),
            developer_completed: payment.is_completed,
            cancelled: payment.is_cancelled,
            user_cancelled: payment.is_user_cancelled,
        },
        transaction: transaction.map(|transaction| TransactionDto {
            txid: &transaction.txid,
            verified: transaction.is_verified,
            link: format!("https://api.testnet.minepi.com/transactions/{}", transaction.txid),
        }),
        split_recipients: None,
        token_canonical: None,
    }
}

/// The amount as JavaScript writes numbers: a double, in exponent form below a millionth.
fn number(amount: Amount) -> String {
    match amount.stroops() {
        stroops @ 1..=9 => format!("{stroops}e-7"),
        _ => amount.to_string().parse::<f64>().unwrap_or_default().to_string(),
    }
}

/// ISO 8601 with milliseconds, which this clock does not count.
pub(super) fn milliseconds(moment: UnixTime) -> String {
    moment.to_rfc3339().replace('Z', ".000Z")
}

/// An error as Pi writes those of payments.
pub(super) fn refused(refusal: Refusal, payment: Option<&Payment>) -> Response<Vec<u8>> {
    #[derive(Serialize)]
    struct ErrorDto<'a> {
        error: &'a str,
        error_message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        payment: Option<PaymentDto<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        verification_error: Option<&'a str>,
    }
    use Refusal as R;
    let (status, error, error_message) = match refusal {
        // An unknown access token: empty, as `/v2/me` answers it.
        R::Unauthorized => return respond(401, "", Vec::new()),
        R::PaymentNotFound => (404, "payment_not_found", "Payment not found."),
        R::AlreadyApproved => (400, "already_approved", "This payment is already approved."),
        R::AlreadyCompleted => (400, "already_completed", "This payment is already completed."),
        R::CancelledPayment => (400, "cancelled_payment", "This payment is cancelled."),
        R::PaymentTxPresent => (400, "payment_tx_present", "This payment has a transaction."),
        R::NotApproved => (400, "not_approved", "The app has not approved this payment."),
        R::MissingTxid => (400, "missing_txid", "A txid is required."),
        R::TxidMismatch => (400, "txid_mismatch", "This payment has another transaction."),
        R::NotVerified => (400, "not_verified", "The transaction is not verified."),
        R::VerificationFailed | R::AlreadyLinked => {
            (400, "verification_failed", "The transaction could not be verified.")
        }
        R::OngoingPaymentFound => {
            (409, "ongoing_payment_found", "Another payment has to be completed first.")
        }
        R::InvalidAmount => (400, "invalid_amount", "The amount must be more than zero."),
        R::InvalidMetadata => (400, "invalid_metadata", "The metadata must be an object."),
    };
    let with_payment =
        matches!(refusal, R::AlreadyCompleted | R::CancelledPayment | R::OngoingPaymentFound);
    let verification_error =
        (refusal == R::AlreadyLinked).then_some("payment_already_linked_with_a_tx");
    let payment = payment.filter(|_| with_payment).map(dto);
    write(status, &ErrorDto { error, error_message, payment, verification_error })
}

pub(super) fn error(status: u16, error: &str, message: &str) -> Response<Vec<u8>> {
    write(status, &json!({ "error": error, "error_message": message }))
}

pub(super) fn write(status: u16, value: &impl Serialize) -> Response<Vec<u8>> {
    match serde_json::to_vec(value) {
        Ok(body) => respond(status, JSON, body),
        Err(_) => error_page(),
    }
}

fn is_json(request: &Request<Vec<u8>>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}
