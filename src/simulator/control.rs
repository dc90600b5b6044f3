//! `/simulator/…`, which Pi does not have: the actions of a user in the wallet and the ad player,
//! faults on demand, and the ledger, for `sdk.js` and for tests. Users send their access token;
//! anybody may call the rest.

use http::{Method, Request, Response, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    fault::{Fault, Faults},
    ledger::{AdStatus, Ledger, Refusal},
    platform::{PaymentDto, dto, error, milliseconds, notification, outcome, refused, write},
    respond,
};
use crate::{json, pi::Amount, time::UnixTime};

/// The request for a payment, without its `amount`, whose digits count.
#[derive(Deserialize)]
struct CreateDto {
    memo: String,
    metadata: Value,
}

#[derive(Deserialize)]
struct PayDto {
    #[serde(default = "yes")]
    verified: bool,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct WatchDto {
    status: Option<AdStatus>,
    #[serde(default)]
    unsaid_for: u32,
}

/// Answers these paths, with permission for pages of every origin.
pub(super) fn answer(
    request: &Request<Vec<u8>>,
    now: UnixTime,
    ledger: &mut Ledger,
    faults: &mut Faults,
) -> Response<Vec<u8>> {
    let mut response = act(request, now, ledger, faults);
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
    ] {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

fn act(
    request: &Request<Vec<u8>>,
    now: UnixTime,
    ledger: &mut Ledger,
    faults: &mut Faults,
) -> Response<Vec<u8>> {
    let path = request.uri().path().strip_prefix("/simulator/").unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::OPTIONS, _) => respond(204, "", Vec::new()),
        (&Method::POST, ["payments"]) => create(request, now, ledger, Ledger::create),
        (&Method::POST, ["payouts"]) => create(request, now, ledger, Ledger::pay_out),
        (&Method::GET, ["payments", "incomplete"]) => {
            match ledger.incomplete(token(request), now) {
                Ok(found) => write(200, &found.into_iter().map(dto).collect::<Vec<_>>()),
                Err(refusal) => refused(refusal, None),
            }
        }
        (&Method::GET, ["payments", id]) => outcome(Ok(()), ledger.find(id, now)),
        (&Method::POST, ["payments", id, "pay"]) => pay(request, id, now, ledger),
        (&Method::POST, ["payments", id, "cancel"]) => {
            let done = ledger.cancel_by_user(id, now);
            outcome(done, ledger.find(id, now))
        }
        (&Method::POST, ["ads"]) => watch(request, now, ledger),
        (&Method::GET, ["ledger"]) => books(now, ledger),
        (&Method::POST, ["faults"]) => match json::object::<Fault>(request.body()) {
            Ok(fault) => {
                faults.add(fault);
                respond(204, "", Vec::new())
            }
            Err(_) => invalid("step and fault must be ones that there are, every at least 1."),
        },
        (&Method::DELETE, ["faults"]) => {
            faults.clear();
            respond(204, "", Vec::new())
        }
        _ => error(404, "not_found", "The simulator has no such route."),
    }
}

/// How a payment begins: [`Ledger::create`] or [`Ledger::pay_out`].
type Begin = fn(&mut Ledger, &str, Amount, &str, Value, UnixTime) -> Result<String, Refusal>;

fn create(
    request: &Request<Vec<u8>>,
    now: UnixTime,
    ledger: &mut Ledger,
    begin: Begin,
) -> Response<Vec<u8>> {
    let wanted = json::object::<CreateDto>(request.body()).ok();
    let Some((wanted, amount)) = wanted.zip(json::text_of(request.body(), "amount")) else {
        return invalid("amount must be a number, memo a text and metadata an object.");
    };
    let Some(amount) = Amount::parse(amount) else {
        return refused(Refusal::InvalidAmount, None);
    };
    let token = token(request);
    match begin(ledger, token, amount, &wanted.memo, wanted.metadata, now) {
        Ok(id) => match ledger.find(&id, now) {
            Ok(payment) => write(201, &dto(payment)),
            Err(refusal) => refused(refusal, None),
        },
        Err(refusal) => {
            let incomplete = ledger.incomplete(token, now).unwrap_or_default();
            refused(refusal, incomplete.first().copied())
        }
    }
}

fn pay(
    request: &Request<Vec<u8>>,
    id: &str,
    now: UnixTime,
    ledger: &mut Ledger,
) -> Response<Vec<u8>> {
    let body = if request.body().is_empty() { b"{}".as_slice() } else { request.body() };
    let Ok(PayDto { verified }) = json::object(body) else {
        return invalid("verified must be true or false.");
    };
    let done = ledger.pay(id, now).map(drop);
    if done.is_ok()
        && let Ok(payment) = ledger.find(id, now)
        && let Some(transaction) = &mut payment.transaction
    {
        transaction.is_verified = verified;
    }
    outcome(done, ledger.find(id, now))
}

fn watch(request: &Request<Vec<u8>>, now: UnixTime, ledger: &mut Ledger) -> Response<Vec<u8>> {
    let Ok(WatchDto { status, unsaid_for }) = json::object(request.body()) else {
        return invalid(
            "status must be granted, revoked, failed or null, and unsaid_for a number.",
        );
    };
    match ledger.watch(token(request), status, unsaid_for, now) {
        Ok(id) => write(201, &json!({ "adId": id })),
        Err(refusal) => refused(refusal, None),
    }
}

/// The whole ledger, of all apps and users.
fn books(now: UnixTime, ledger: &mut Ledger) -> Response<Vec<u8>> {
    #[derive(Serialize)]
    struct BooksDto<'a> {
        payments: Vec<PaymentDto<'a>>,
        transactions: Vec<Value>,
        ads: Vec<Value>,
        notifications: Vec<Value>,
    }
    ledger.expire(now);
    let transactions = ledger.payments.iter().filter_map(|payment| {
        let transaction = payment.transaction.as_ref()?;
        // The memo on the chain is the payment's id.
        Some(json!({ "txid": transaction.txid, "memo": payment.id }))
    });
    let transactions: Vec<Value> = transactions.collect();
    let ads = ledger.ads.iter().map(|ad| {
        json!({
            "adId": ad.id,
            "app_id": ad.app_id,
            "status": ad.status,
            "unsaid_for": ad.unsaid_for,
            "watched_at": milliseconds(ad.watched_at),
        })
    });
    let ads: Vec<Value> = ads.collect();
    let notifications: Vec<Value> = ledger.notifications.iter().map(notification).collect();
    let payments = ledger.payments.iter().map(dto).collect();
    write(200, &BooksDto { payments, transactions, ads, notifications })
}

fn invalid(message: &str) -> Response<Vec<u8>> {
    error(400, "invalid_arguments", message)
}

/// The access token, or a text that belongs to no user.
fn token(request: &Request<Vec<u8>>) -> &str {
    let authorization = request.headers().get(header::AUTHORIZATION);
    let token = authorization.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    token.unwrap_or_default()
}
