//! The simulated Pi follows Pi's rules: payments, ads, notifications and faults, from the side of
//! an app and of a user.

use std::{
    collections::BTreeSet,
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::{Method, Request, Response, header};
use pioneer_session::{
    identifier::Identifier,
    pi::{
        Amount, Error, Notification, Payments, Refusal, ServerApiKey, Transport, TxId, Unreachable,
        is_ad_granted, notify,
    },
    secret::Secret,
    simulator::{
        APPROVAL_SECONDS, AdStatus, CROWD, Fault, FaultKind, Ledger, SERVER_API_KEY, Simulator,
        Step,
    },
    time::UnixTime,
};
use serde_json::{Value, json};

const NOW: i64 = 1_760_000_000;
const BASE: &str = "https://api.minepi.com";
const ALICE: &str = "a11ce000-0000-4000-8000-000000000001";
const BOB: &str = "b0b00000-0000-4000-8000-000000000002";
const CAROL: &str = "ca501000-0000-4000-8000-000000000003";
const NO_TXID: &str = "0000000000000000000000000000000000000000000000000000000000000000";

// --- The simulated Pi under test ----------

fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// A simulated Pi, and an app that calls it.
struct App {
    pi: Simulator,
    key: ServerApiKey,
}

fn app() -> App {
    let pi = Simulator::new(UnixTime::from_seconds(NOW).unwrap());
    App { pi, key: ServerApiKey::new(Secret::new(SERVER_API_KEY.into())).unwrap() }
}

impl App {
    fn send(
        &self,
        method: &str,
        path: &str,
        authorization: &str,
        body: Option<&str>,
    ) -> Result<Response<Vec<u8>>, Unreachable> {
        let mut request = Request::builder().method(method).uri(format!("{BASE}{path}"));
        if !authorization.is_empty() {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.unwrap_or_default().as_bytes().to_vec();
        block_on(self.pi.send(request.body(body).unwrap()))
    }

    /// Sends a request with the key. Returns the status and the JSON, or `null` without any.
    fn key(&self, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
        read(&self.send(method, path, &format!("Key {SERVER_API_KEY}"), body).unwrap())
    }

    /// Sends a request as a persona.
    fn user(&self, token: &str, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
        let path = format!("/simulator{path}");
        read(&self.send(method, &path, &format!("Bearer {token}"), body).unwrap())
    }

    fn create(&self, token: &str) -> String {
        let body = r#"{"amount":2.5,"memo":"A pie","metadata":{"orderId":"order-1"}}"#;
        let (status, payment) = self.user(token, "POST", "/payments", Some(body));
        assert_eq!(status, 201, "{payment}");
        payment["identifier"].as_str().unwrap().to_owned()
    }

    fn step(&self, id: &str, step: &str) -> (u16, Value) {
        self.key("POST", &format!("/v2/payments/{id}/{step}"), None)
    }

    fn complete(&self, id: &str, txid: &str) -> (u16, Value) {
        let body = json!({ "txid": txid }).to_string();
        self.key("POST", &format!("/v2/payments/{id}/complete"), Some(&body))
    }

    fn get(&self, id: &str) -> Value {
        let (status, payment) = self.key("GET", &format!("/v2/payments/{id}"), None);
        assert_eq!(status, 200);
        payment
    }

    fn pay(&self, id: &str) -> String {
        let (status, payment) =
            self.user("sim-alice", "POST", &format!("/payments/{id}/pay"), None);
        assert_eq!(status, 200, "{payment}");
        payment["transaction"]["txid"].as_str().unwrap().to_owned()
    }

    /// A payment that the user has signed.
    fn paid(&self, token: &str) -> (String, String) {
        let id = self.create(token);
        assert_eq!(self.step(&id, "approve").0, 200);
        let txid = self.pay(&id);
        (id, txid)
    }

    fn payments(&self) -> Payments<'_, Simulator> {
        Payments { transport: &self.pi, base: BASE, key: &self.key }
    }

    fn wait(&self, seconds: i64) {
        let now = self.pi.now.get().seconds() + seconds;
        self.pi.now.set(UnixTime::from_seconds(now).unwrap());
    }

    fn fault(&self, step: Step, kind: FaultKind, times: u32) {
        let every = 1.try_into().unwrap();
        self.pi.faults.borrow_mut().add(Fault { step, kind, every, times: Some(times) });
    }
}

fn read(response: &Response<Vec<u8>>) -> (u16, Value) {
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or(Value::Null))
}

fn identifier(text: &str) -> Identifier {
    Identifier::parse(text.into()).unwrap()
}

/// The flags that are set, of the five, as one text.
fn flags(payment: &Value) -> String {
    let flags = payment["status"].as_object().unwrap();
    assert_eq!(flags.len(), 5);
    let set = flags.iter().filter(|(_, value)| **value == json!(true));
    set.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")
}

fn refused(answer: &(u16, Value), status: u16, code: &str) {
    assert_eq!((answer.0, answer.1["error"].as_str()), (status, Some(code)), "{}", answer.1);
    assert!(answer.1["error_message"].as_str().is_some_and(|text| !text.is_empty()));
}

// --- The key ----------

#[test]
fn without_the_right_key_every_answer_is_an_empty_401() {
    let app = app();
    let id = app.create("sim-alice");
    for authorization in [
        "",
        "Key wrong-server-api-key",
        "Bearer simulated-server-api-key",
        "key simulated-server-api-key",
    ] {
        for (method, path) in [
            ("GET", format!("/v2/payments/{id}")),
            ("POST", format!("/v2/payments/{id}/approve")),
            ("POST", format!("/v2/payments/{id}/complete")),
            ("POST", format!("/v2/payments/{id}/cancel")),
            ("GET", "/v2/ads_network/status/none".to_owned()),
            ("POST", "/v2/in_app_notifications/notify".to_owned()),
        ] {
            let response = app.send(method, &path, authorization, None).unwrap();
            assert_eq!(response.status(), 401, "{authorization} {path}");
            assert!(response.body().is_empty());
            assert!(!response.headers().contains_key(header::CONTENT_TYPE));
        }
    }
    assert_eq!(flags(&app.get(&id)), "");
    let other = ServerApiKey::new(Secret::new("wrong-server-api-key".into())).unwrap();
    let payments = Payments { key: &other, ..app.payments() };
    assert_eq!(block_on(payments.get(&identifier(&id))), Err(Error::KeyRefused));
}

#[test]
fn an_unknown_path_is_an_error_page() {
    let app = app();
    for (method, path) in [
        ("GET", "/"),
        ("POST", "/v2/me"),
        ("GET", "/v2/payments"),
        ("POST", "/v2/payments/x/error"),
        ("GET", "/v2/payments/x/approve"),
        ("GET", "/v2/ads/x"),
        ("GET", "/v3/payments/x"),
    ] {
        let key = format!("Key {SERVER_API_KEY}");
        let response = app.send(method, path, &key, None).unwrap();
        assert_eq!(response.status(), 404, "{method} {path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    }
}

// --- Payments ----------

#[test]
fn a_payment_has_exactly_the_members_that_pi_gives_it() {
    let app = app();
    let id = app.create("sim-alice");
    let payment = app.get(&id);
    assert_eq!(
        payment,
        json!({
            "identifier": id,
            "user_uid": ALICE,
            "amount": 2.5,
            "memo": "A pie",
            "metadata": { "orderId": "order-1" },
            "from_address": payment["from_address"],
            "to_address": payment["to_address"],
            "direction": "user_to_app",
            "created_at": "2025-10-09T08:53:20.000Z",
            "network": "Pi Testnet",
            "status": {
                "developer_approved": false,
                "transaction_verified": false,
                "developer_completed": false,
                "cancelled": false,
                "user_cancelled": false,
            },
            "transaction": null,
            "split_recipients": null,
            "token_canonical": null,
        })
    );
    assert_eq!(id.len(), 28);
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    for address in [&payment["from_address"], &payment["to_address"]] {
        let address = address.as_str().unwrap();
        assert!(address.len() == 56 && address.starts_with('G'), "{address}");
        assert!(
            address.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte))
        );
    }
    app.step(&id, "approve");
    let txid = app.pay(&id);
    assert!(TxId::parse(&txid).is_some_and(|parsed| parsed.as_str() == txid));
    let link = format!("https://api.testnet.minepi.com/transactions/{txid}");
    assert_eq!(
        app.get(&id)["transaction"],
        json!({ "txid": txid, "verified": true, "_link": link })
    );
}

#[test]
fn amounts_are_written_as_javascript_writes_them() {
    for (sent, written, stroops) in [
        ("0.0000001", "1e-7", 1),
        ("9e-7", "9e-7", 9),
        ("1e-6", "0.000001", 10),
        ("0.0000011", "0.0000011", 11),
        ("0.314", "0.314", 3_140_000),
        ("3.14", "3.14", 31_400_000),
        ("3.0", "3", 30_000_000),
        ("100", "100", 1_000_000_000),
        ("1e2", "100", 1_000_000_000),
        ("123456789.1234567", "123456789.1234567", 1_234_567_891_234_567),
    ] {
        let app = app();
        let body = format!(r#"{{"amount":{sent},"memo":"","metadata":{{}}}}"#);
        let (_, payment) = app.user("sim-alice", "POST", "/payments", Some(&body));
        let id = payment["identifier"].as_str().unwrap();
        let path = format!("/v2/payments/{id}");
        let response = app.send("GET", &path, &format!("Key {SERVER_API_KEY}"), None).unwrap();
        let text = String::from_utf8(response.into_body()).unwrap();
        assert!(text.contains(&format!(r#""amount":{written},"#)), "{sent}: {text}");
        let payment = block_on(app.payments().get(&identifier(id))).unwrap();
        assert_eq!(payment.amount, Amount::from_stroops(stroops), "{sent}");
    }
}

#[test]
fn a_payment_is_approved_signed_and_completed() {
    let app = app();
    let (payments, id) = (app.payments(), identifier(&app.create("sim-alice")));
    let made = block_on(payments.get(&id)).unwrap();
    assert_eq!((&made.id, made.uid.as_str()), (&id, ALICE));
    assert_eq!(made.order_id, Some(identifier("order-1")));
    assert_eq!(made.is_user_to_app, Some(true));
    assert_eq!(made.network.as_deref(), Some("Pi Testnet"));
    assert!(!made.is_approved && !made.is_completed && !made.is_cancelled);
    assert_eq!(made.transaction, None);

    let approved = block_on(payments.approve(&id)).unwrap();
    assert!(approved.is_approved && approved.transaction.is_none());
    assert_eq!(flags(&app.get(id.as_str())), "developer_approved");

    let txid = TxId::parse(&app.pay(id.as_str())).unwrap();
    let paid = block_on(payments.get(&id)).unwrap();
    assert!(!paid.is_completed);
    assert!(paid.transaction.is_some_and(|found| found.txid == txid && found.is_verified));
    assert_eq!(flags(&app.get(id.as_str())), "developer_approved transaction_verified");

    let completed = block_on(payments.complete(&id, &txid)).unwrap();
    assert!(completed.is_completed && !completed.is_cancelled);
    assert_eq!(
        flags(&app.get(id.as_str())),
        "developer_approved developer_completed transaction_verified"
    );
    // A repeat has the same result: the step has happened.
    assert_eq!(block_on(payments.complete(&id, &txid)), Ok(completed.clone()));
    assert_eq!(block_on(payments.approve(&id)), Ok(completed));
}

#[test]
fn a_missing_payment_and_another_apps_payment_are_not_found() {
    let app = app();
    let foreign = app.create("sim-other-app");
    for id in ["0000000000000000000000000000", "x", &foreign] {
        refused(&app.key("GET", &format!("/v2/payments/{id}"), None), 404, "payment_not_found");
        refused(&app.step(id, "approve"), 404, "payment_not_found");
        refused(&app.step(id, "cancel"), 404, "payment_not_found");
        refused(&app.complete(id, NO_TXID), 404, "payment_not_found");
        assert_eq!(block_on(app.payments().get(&identifier(id))), Err(Error::NotFound));
    }
    assert!(app.pi.ledger.borrow().payments.iter().all(|payment| payment.is_open()));
}

#[test]
fn steps_are_rejected_with_pis_codes() {
    let app = app();
    let id = app.create("sim-alice");
    assert_eq!(app.step(&id, "approve").0, 200);
    refused(&app.step(&id, "approve"), 400, "already_approved");
    // Not paid yet.
    let answer = app.complete(&id, NO_TXID);
    refused(&answer, 400, "verification_failed");
    assert!(answer.1.get("verification_error").is_none());

    let txid = app.pay(&id);
    refused(&app.step(&id, "cancel"), 400, "payment_tx_present");
    let path = format!("/v2/payments/{id}/complete");
    refused(&app.key("POST", &path, None), 400, "missing_txid");
    refused(&app.key("POST", &path, Some("{}")), 400, "missing_txid");
    refused(&app.key("POST", &path, Some(r#"{"txid":null}"#)), 400, "missing_txid");
    refused(&app.complete(&id, ""), 400, "missing_txid");
    refused(&app.key("POST", &path, Some(r#"{"txid":1}"#)), 400, "invalid_arguments");
    refused(&app.key("POST", &path, Some("{")), 400, "invalid_arguments");
    refused(&app.complete(&id, NO_TXID), 400, "txid_mismatch");

    // The transaction of another payment, for a payment with a transaction and for one without.
    let (_, other) = app.paid("sim-bob");
    let answer = app.complete(&id, &other);
    refused(&answer, 400, "verification_failed");
    assert_eq!(answer.1["verification_error"], "payment_already_linked_with_a_tx");
    let unpaid = app.create("sim-no-username");
    app.step(&unpaid, "approve");
    let answer = app.complete(&unpaid, &other);
    refused(&answer, 400, "verification_failed");
    assert_eq!(answer.1["verification_error"], "payment_already_linked_with_a_tx");

    assert_eq!(flags(&app.get(&id)), "developer_approved transaction_verified");
    assert_eq!(app.complete(&id, &txid.to_uppercase()).0, 200);
    for (answer, code) in [
        (app.complete(&id, &txid), "already_completed"),
        (app.complete(&id, &other), "already_completed"),
        (app.step(&id, "cancel"), "already_completed"),
    ] {
        refused(&answer, 400, code);
        assert_eq!(answer.1["payment"], app.get(&id));
    }
    refused(&app.step(&id, "approve"), 400, "already_approved");
}

#[test]
fn a_transaction_that_is_not_verified_completes_nothing() {
    let app = app();
    let id = app.create("sim-alice");
    app.step(&id, "approve");
    let (_, payment) = app.user(
        "sim-alice",
        "POST",
        &format!("/payments/{id}/pay"),
        Some(r#"{"verified":false}"#),
    );
    assert_eq!(payment["transaction"]["verified"], false);
    let txid = payment["transaction"]["txid"].as_str().unwrap();
    refused(&app.complete(&id, txid), 400, "not_verified");
    assert_eq!(flags(&app.get(&id)), "developer_approved");
    let (id, txid) = (identifier(&id), TxId::parse(txid).unwrap());
    let Err(Error::Declined(Some(code))) = block_on(app.payments().complete(&id, &txid)) else {
        panic!("it was completed")
    };
    assert_eq!(Refusal::as_str(&code), "not_verified");
}

#[test]
fn a_cancelled_payment_stays_cancelled() {
    let app = app();
    for by_user in [false, true] {
        let id = app.create("sim-alice");
        let (status, payment) = if by_user {
            app.user("sim-alice", "POST", &format!("/payments/{id}/cancel"), None)
        } else {
            app.step(&id, "cancel")
        };
        assert_eq!(status, 200);
        assert_eq!(flags(&payment), if by_user { "user_cancelled" } else { "cancelled" });
        for answer in
            [app.step(&id, "approve"), app.complete(&id, NO_TXID), app.step(&id, "cancel")]
        {
            refused(&answer, 400, "cancelled_payment");
            assert_eq!(answer.1["payment"], payment);
        }
        assert!(block_on(app.payments().get(&identifier(&id))).unwrap().is_cancelled);
        for step in ["pay", "cancel"] {
            let path = format!("/payments/{id}/{step}");
            refused(&app.user("sim-alice", "POST", &path, None), 400, "cancelled_payment");
        }
        assert_eq!(app.get(&id), payment);
    }
}

#[test]
fn pi_cancels_a_payment_that_is_not_approved_in_a_minute() {
    let app = app();
    let (late, timely) = (app.create("sim-alice"), app.create("sim-bob"));
    app.wait(APPROVAL_SECONDS - 1);
    assert_eq!(app.step(&timely, "approve").0, 200);
    assert_eq!(flags(&app.get(&late)), "");
    app.wait(1);
    refused(&app.step(&late, "approve"), 400, "cancelled_payment");
    assert_eq!(flags(&app.get(&late)), "cancelled");
    // An approved payment waits for the user, and a paid one for the app.
    app.wait(1_000_000);
    assert_eq!(flags(&app.get(&timely)), "developer_approved");
    let txid = app.pay(&timely);
    app.wait(1_000_000);
    assert_eq!(app.complete(&timely, &txid).0, 200);
}

#[test]
fn a_post_that_announces_json_without_a_body_is_an_error_page() {
    let app = app();
    let id = app.create("sim-alice");
    for step in ["approve", "complete", "cancel"] {
        let path = format!("/v2/payments/{id}/{step}");
        let key = format!("Key {SERVER_API_KEY}");
        let response = app.send("POST", &path, &key, Some("")).unwrap();
        assert_eq!(response.status(), 500, "{step}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    }
    assert_eq!(flags(&app.get(&id)), "");
    // An empty object is what Pi's own Ruby client sends.
    assert_eq!(app.key("POST", &format!("/v2/payments/{id}/approve"), Some("{}")).0, 200);
}

// --- The user's side ----------

#[test]
fn a_new_payment_ends_an_unpaid_one_and_waits_for_a_paid_one() {
    let app = app();
    let incomplete = || app.user("sim-alice", "GET", "/payments/incomplete", None).1;
    assert_eq!(incomplete(), json!([]));
    let first = app.create("sim-alice");
    assert_eq!(incomplete(), json!([app.get(&first)]));
    app.step(&first, "approve");
    let second = app.create("sim-alice");
    assert_eq!(flags(&app.get(&first)), "cancelled developer_approved");
    assert_eq!(incomplete(), json!([app.get(&second)]));
    // Alice's actions do not change Bob's payments.
    let bobs = app.create("sim-bob");
    app.step(&second, "approve");
    let txid = app.pay(&second);
    let body = r#"{"amount":1,"memo":"","metadata":{}}"#;
    let answer = app.user("sim-alice", "POST", "/payments", Some(body));
    refused(&answer, 409, "ongoing_payment_found");
    assert_eq!(answer.1["payment"], app.get(&second));
    assert_eq!(incomplete(), json!([app.get(&second)]));
    assert_eq!(flags(&app.get(&bobs)), "");
    app.complete(&second, &txid);
    assert_eq!(incomplete(), json!([]));
    app.create("sim-alice");
}

#[test]
fn only_a_user_pays_and_only_a_positive_amount() {
    let app = app();
    let body = r#"{"amount":1,"memo":"","metadata":{}}"#;
    for token in ["", "nobody", "sim-revoked", "sim-500-html", "sim-expired"] {
        assert_eq!(app.user(token, "POST", "/payments", Some(body)), (401, Value::Null));
        assert_eq!(app.user(token, "GET", "/payments/incomplete", None).0, 401);
        assert_eq!(app.user(token, "POST", "/ads", Some("{}")).0, 401);
    }
    for (body, code) in [
        (r#"{"amount":0,"memo":"","metadata":{}}"#, "invalid_amount"),
        (r#"{"amount":-1,"memo":"","metadata":{}}"#, "invalid_amount"),
        (r#"{"amount":1e-8,"memo":"","metadata":{}}"#, "invalid_amount"),
        (r#"{"amount":"1","memo":"","metadata":{}}"#, "invalid_amount"),
        (r#"{"amount":1,"memo":"","metadata":[]}"#, "invalid_metadata"),
        (r#"{"amount":1,"memo":7,"metadata":{}}"#, "invalid_arguments"),
        (r#"{"memo":"","metadata":{}}"#, "invalid_arguments"),
        ("{", "invalid_arguments"),
    ] {
        refused(&app.user("sim-alice", "POST", "/payments", Some(body)), 400, code);
    }
    assert!(app.pi.ledger.borrow().payments.is_empty());
}

#[test]
fn everybody_in_the_crowd_is_a_person_with_a_uid_of_their_own() {
    let app = app();
    let me =
        |token: &str| read(&app.send("GET", "/v2/me", &format!("Bearer {token}"), None).unwrap());
    let mut uids = BTreeSet::new();
    for number in [0, 1, 17, CROWD - 1] {
        let token = format!("sim-crowd-{number}");
        let (status, user) = me(&token);
        assert_eq!(status, 200);
        assert!(uids.insert(user["uid"].to_string()), "{user}");
        assert_eq!(app.get(&app.create(&token))["user_uid"], user["uid"]);
    }
    for token in [format!("sim-crowd-{CROWD}"), "sim-crowd-".into(), "sim-crowd--1".into()] {
        assert_eq!(me(&token), (401, Value::Null));
    }
}

#[test]
fn the_user_signs_once_and_after_approval_only() {
    let app = app();
    let id = app.create("sim-alice");
    let path = format!("/payments/{id}/pay");
    refused(&app.user("sim-alice", "POST", &path, None), 400, "not_approved");
    app.step(&id, "approve");
    let txid = app.pay(&id);
    refused(&app.user("sim-alice", "POST", &path, None), 400, "payment_tx_present");
    let cancel = format!("/payments/{id}/cancel");
    refused(&app.user("sim-alice", "POST", &cancel, None), 400, "payment_tx_present");
    assert_eq!(app.get(&id)["transaction"]["txid"], txid);
    refused(&app.user("", "POST", "/payments/none/pay", None), 404, "payment_not_found");
    refused(&app.user("", "GET", "/payments/none", None), 404, "payment_not_found");
    assert_eq!(app.user("", "GET", &format!("/payments/{id}"), None), (200, app.get(&id)));
}

#[test]
fn a_test_can_change_the_ledger_directly() {
    let app = app();
    let now = app.pi.now.get();
    let id = {
        let mut ledger = app.pi.ledger.borrow_mut();
        let amount = Amount::parse("2.5").unwrap();
        ledger.create("sim-alice", amount, "memo", json!({ "orderId": "o" }), now).unwrap()
    };
    block_on(app.payments().approve(&identifier(&id))).unwrap();
    let txid = app.pi.ledger.borrow_mut().pay(&id, now).unwrap();
    // A state that no user could make.
    app.pi.ledger.borrow_mut().find(&id, now).unwrap().network = "Pi Network";
    app.pi.ledger.borrow_mut().find(&id, now).unwrap().direction = "app_to_user";
    let payment = block_on(app.payments().get(&identifier(&id))).unwrap();
    assert_eq!(payment.network.as_deref(), Some("Pi Network"));
    assert_eq!(payment.is_user_to_app, Some(false));
    let (status, books) = app.user("", "GET", "/ledger", None);
    assert_eq!(status, 200);
    assert_eq!(
        books,
        json!({
            "payments": [app.get(&id)],
            "transactions": [{ "txid": txid, "memo": id }],
            "ads": [],
            "notifications": [],
        })
    );
}

#[test]
fn ids_are_the_same_in_every_run_and_never_the_same_twice() {
    let make = |seed| {
        let mut ledger = Ledger::new(seed);
        let now = UnixTime::from_seconds(NOW).unwrap();
        let amount = Amount::from_stroops(1);
        let mut create = || ledger.create("sim-alice", amount, "", json!({}), now).unwrap();
        (0..1000).map(|_| create()).collect::<Vec<_>>()
    };
    assert_eq!(make(0), make(0));
    let all: BTreeSet<String> = [make(0), make(1)].concat().into_iter().collect();
    assert_eq!(all.len(), 2000);
}

// --- Ads and notifications ----------

#[test]
fn an_ad_has_the_networks_status_once_the_network_answers() {
    let app = app();
    let at = "2025-10-09T08:53:20.000Z";
    let watch = |token, body| {
        let (status, ad) = app.user(token, "POST", "/ads", Some(body));
        assert_eq!(status, 201);
        ad["adId"].as_str().unwrap().to_owned()
    };
    let status = |id: &str| app.key("GET", &format!("/v2/ads_network/status/{id}"), None);
    for (body, said, granted_at, revoked_at, is_granted) in [
        (r#"{"status":"granted"}"#, json!("granted"), json!(at), Value::Null, true),
        (r#"{"status":"revoked"}"#, json!("revoked"), json!(at), json!(at), false),
        (r#"{"status":"failed"}"#, json!("failed"), Value::Null, Value::Null, false),
        (r#"{"status":null}"#, Value::Null, Value::Null, Value::Null, false),
    ] {
        let id = watch("sim-alice", body);
        let expected = json!({
            "identifier": id,
            "mediator_ack_status": said,
            "mediator_granted_at": granted_at,
            "mediator_revoked_at": revoked_at,
        });
        assert_eq!(status(&id), (200, expected));
        let granted = block_on(is_ad_granted(&app.pi, BASE, &app.key, &identifier(&id)));
        assert_eq!(granted, Ok(is_granted), "{body}");
    }
    let id = watch("sim-alice", r#"{"status":"granted","unsaid_for":2}"#);
    for said in [Value::Null, Value::Null, json!("granted"), json!("granted")] {
        assert_eq!(status(&id).1["mediator_ack_status"], said);
    }
    let foreign = watch("sim-other-app", r#"{"status":"granted"}"#);
    for id in ["none", &foreign] {
        refused(&status(id), 404, "not_found");
        let granted = block_on(is_ad_granted(&app.pi, BASE, &app.key, &identifier(id)));
        assert_eq!(granted, Err(Error::NotFound));
    }
    let now = app.pi.now.get();
    let watched = app.pi.ledger.borrow_mut().watch("sim-bob", Some(AdStatus::Granted), 1, now);
    let granted = block_on(is_ad_granted(&app.pi, BASE, &app.key, &identifier(&watched.unwrap())));
    assert_eq!(granted, Ok(true));
}

fn message(uid: &str) -> Value {
    json!({ "title": "Ripe", "body": "Your pie is ready", "user_uid": uid, "subroute": "/pies" })
}

impl App {
    fn notify(&self, notifications: &[Value]) -> (u16, Value) {
        let body = json!({ "notifications": notifications }).to_string();
        self.key("POST", "/v2/in_app_notifications/notify", Some(&body))
    }
}

#[test]
fn notifications_reach_users_who_have_consented() {
    let app = app();
    // Neither an unknown user nor one of another app gets a notification, and Pi does not report
    // it.
    let strangers = ["nobody", "a11ce000-ffff-4000-8000-000000000009", CAROL];
    let all: Vec<Value> = [ALICE, BOB].iter().chain(&strangers).map(|uid| message(uid)).collect();
    let (status, answer) = app.notify(&all);
    assert_eq!((status, &answer["success"]), (201, &json!(true)));
    let delivered = answer["delivered_notifications"].as_array().unwrap();
    let expected = |id: &Value, uid| {
        json!({
            "id": id, "title": "Ripe", "body": "Your pie is ready", "user_uid": uid,
            "subroute": "/pies", "seen_at": null, "dismissed_at": null,
        })
    };
    assert_eq!(delivered.len(), 2);
    assert_eq!(delivered[0], expected(&delivered[0]["id"], ALICE));
    assert_eq!(delivered[1], expected(&delivered[1]["id"], BOB));
    assert_eq!(app.user("", "GET", "/ledger", None).1["notifications"], json!(delivered));

    let one = |uid| Notification {
        title: "t".into(),
        body: "b".into(),
        user_uid: identifier(uid),
        subroute: "/".into(),
    };
    let sent = block_on(notify(&app.pi, BASE, &app.key, &[one(ALICE), one(CAROL)]));
    assert_eq!(sent, Ok(vec![identifier(ALICE)]));
}

#[test]
fn notifications_that_are_too_many_or_not_whole_are_rejected_with_a_sentence() {
    let app = app();
    let is_sentence = |answer: &Value| {
        let text = answer["error"].as_str();
        text.is_some_and(|text| text.contains(' ')) && answer.as_object().unwrap().len() == 1
    };
    let nobodies = vec![message(CAROL); 48];
    let crowd: Vec<Value> = (0..257).map(|number| message(&format!("nobody-{number}"))).collect();
    assert_eq!(app.notify(&nobodies).0, 201);
    assert_eq!(app.notify(&crowd[..256]).0, 201);
    let (status, answer) = app.notify(&crowd);
    assert!(status == 400 && is_sentence(&answer), "{status} {answer}");
    for member in ["title", "body", "user_uid", "subroute"] {
        for value in [None, Some(json!("")), Some(json!(7)), Some(Value::Null)] {
            let mut broken = message(ALICE);
            match value {
                None => drop(broken.as_object_mut().unwrap().remove(member)),
                Some(value) => broken[member] = value,
            }
            let (status, answer) = app.notify(&[message(BOB), broken]);
            assert!(status == 422 && is_sentence(&answer), "{member}: {status} {answer}");
        }
    }
    let mut elsewhere = message(ALICE);
    elsewhere["subroute"] = json!("https://elsewhere.example");
    assert_eq!(app.notify(&[elsewhere]).0, 422);
    assert_eq!(app.key("POST", "/v2/in_app_notifications/notify", Some("{}")).0, 422);
    assert!(app.pi.ledger.borrow().notifications.is_empty());
}

#[test]
fn one_user_gets_48_notifications_a_day() {
    let app = app();
    assert_eq!(app.notify(&vec![message(ALICE); 48]).0, 201);
    let (status, answer) = app.notify(&[message(ALICE), message(BOB)]);
    let text = answer["error"].as_str().unwrap();
    assert!(status == 403 && text.contains(ALICE) && !text.contains(BOB), "{text}");
    assert_eq!(app.notify(&[message(BOB)]).0, 201);
    app.wait(24 * 60 * 60);
    assert_eq!(app.notify(&[message(ALICE)]).0, 201);
    assert_eq!(app.notify(&vec![message(BOB); 49]).0, 403);
}

// --- Faults ----------

#[test]
fn faults_before_a_step_leave_it_undone_and_faults_after_it_do_not() {
    use FaultKind as F;
    for (kind, error, is_done) in [
        (F::Html500, Ok(500), false),
        (F::TooManyRequests, Ok(429), false),
        (F::Break, Err(Unreachable::Connection), false),
        (F::LoseAnswer, Err(Unreachable::Connection), true),
        (F::Slow, Err(Unreachable::Deadline), true),
        (F::LoseAnswerHtml500, Ok(500), true),
    ] {
        let app = app();
        let id = app.create("sim-alice");
        app.fault(Step::Approve, kind, 1);
        let path = format!("/v2/payments/{id}/approve");
        let answer = app.send("POST", &path, &format!("Key {SERVER_API_KEY}"), None);
        assert_eq!(
            answer.as_ref().map(|answer| answer.status().as_u16()).map_err(|error| *error),
            error
        );
        if error == Ok(429) {
            assert_eq!(answer.unwrap().headers()[header::RETRY_AFTER], "7");
        }
        let expected = if is_done { "developer_approved" } else { "" };
        assert_eq!(flags(&app.get(&id)), expected, "{kind:?}");
        // The client learns that the step has happened.
        let again = app.create("sim-bob");
        app.fault(Step::Approve, kind, 1);
        let approved = block_on(app.payments().approve(&identifier(&again)));
        assert_eq!(approved.is_ok(), is_done, "{kind:?}");
    }
}

#[test]
fn faults_hit_the_step_and_the_turns_that_they_are_for() {
    let app = app();
    let id = app.create("sim-alice");
    let get = || app.key("GET", &format!("/v2/payments/{id}"), None).0;
    let order = r#"{"step":"get","fault":"html500","every":3,"times":2}"#;
    assert_eq!(app.user("", "POST", "/faults", Some(order)), (204, Value::Null));
    // Other steps and a wrong key do not count.
    assert_eq!(app.step(&id, "approve").0, 200);
    app.send("GET", &format!("/v2/payments/{id}"), "Key wrong", None).unwrap();
    let seen: Vec<u16> = (0..12).map(|_| get()).collect();
    assert_eq!(seen, [200, 200, 500, 200, 200, 500, 200, 200, 200, 200, 200, 200]);

    let order = r#"{"step":"any","fault":"429"}"#;
    assert_eq!(app.user("", "POST", "/faults", Some(order)).0, 204);
    assert_eq!(get(), 429);
    assert_eq!(app.step(&id, "cancel").0, 429);
    assert_eq!(app.complete(&id, NO_TXID).0, 429);
    assert_eq!(app.key("GET", "/v2/ads_network/status/x", None).0, 429);
    assert_eq!(app.notify(&[]).0, 429);
    // Requests of users and the users themselves have no faults.
    app.create("sim-bob");
    assert_eq!(read(&app.send("GET", "/v2/me", "Bearer sim-alice", None).unwrap()).0, 200);
    assert_eq!(app.user("", "DELETE", "/faults", None).0, 204);
    assert_eq!(get(), 200);

    for order in [
        "{}",
        r#"{"step":"pay","fault":"break"}"#,
        r#"{"step":"get","fault":"explode"}"#,
        r#"{"step":"get","fault":"break","every":0}"#,
        r#"{"step":"get","fault":"break","often":1}"#,
    ] {
        refused(&app.user("", "POST", "/faults", Some(order)), 400, "invalid_arguments");
    }
    assert_eq!(get(), 200);
}

#[test]
fn a_repeated_step_without_a_readable_payment_is_not_a_refusal() {
    let app = app();
    let (id, txid) = app.paid("sim-alice");
    let (payment, transaction) = (identifier(&id), TxId::parse(&txid).unwrap());
    assert_eq!(app.complete(&id, &txid).0, 200);
    app.fault(Step::Get, FaultKind::TooManyRequests, 1);
    let unread = Err(Error::Unavailable { retry_after: Some(7) });
    assert_eq!(block_on(app.payments().complete(&payment, &transaction)), unread);
    // On a new request, Pi's record shows the completion.
    assert!(block_on(app.payments().complete(&payment, &transaction)).unwrap().is_completed);
    app.fault(Step::Get, FaultKind::TooManyRequests, 1);
    assert_eq!(block_on(app.payments().approve(&payment)), unread);
}

#[test]
fn each_step_can_fail_on_demand() {
    for (name, method, path) in [
        ("get", "GET", "/v2/payments/x"),
        ("approve", "POST", "/v2/payments/x/approve"),
        ("complete", "POST", "/v2/payments/x/complete"),
        ("cancel", "POST", "/v2/payments/x/cancel"),
        ("ad", "GET", "/v2/ads_network/status/x"),
        ("notify", "POST", "/v2/in_app_notifications/notify"),
    ] {
        for (fault, expected) in [
            ("lose_answer", Err(Unreachable::Connection)),
            ("lose_answer_html500", Ok(500)),
            ("html500", Ok(500)),
            ("slow", Err(Unreachable::Deadline)),
            ("429", Ok(429)),
            ("break", Err(Unreachable::Connection)),
        ] {
            let app = app();
            let order = json!({ "step": name, "fault": fault }).to_string();
            assert_eq!(app.user("", "POST", "/faults", Some(&order)).0, 204);
            let answer = app.send(method, path, &format!("Key {SERVER_API_KEY}"), None);
            assert_eq!(answer.map(|answer| answer.status().as_u16()), expected, "{name} {fault}");
        }
    }
}

#[test]
fn pages_of_every_origin_may_use_the_simulator() {
    let app = app();
    for (method, path) in [
        ("OPTIONS", "/simulator/payments"),
        ("OPTIONS", "/simulator/faults"),
        ("GET", "/simulator/ledger"),
        ("GET", "/simulator/nothing"),
    ] {
        let response = app.send(method, path, "", None).unwrap();
        let header = |name| response.headers().get(name).unwrap().to_str().unwrap();
        assert_eq!(header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*");
        assert_eq!(header(header::ACCESS_CONTROL_ALLOW_METHODS), "GET, POST, DELETE");
        assert_eq!(header(header::ACCESS_CONTROL_ALLOW_HEADERS), "authorization, content-type");
        let status = match (method, path) {
            ("OPTIONS", _) => 204,
            (_, "/simulator/ledger") => 200,
            _ => 404,
        };
        assert_eq!(response.status(), status);
    }
    assert_eq!(app.pi.requests.borrow().len(), 4);
    assert_eq!(*app.pi.requests.borrow()[0].method(), Method::OPTIONS);
}

#[test]
fn a_payment_to_a_user_is_approved_and_the_user_cannot_pay_or_finish_it() {
    let app = app();
    let mut ledger = app.pi.ledger.borrow_mut();
    let now = UnixTime::from_seconds(NOW).unwrap();
    let (prize, amount) = (json!({ "prize": 1 }), Amount::from_stroops(7));
    let paid_out = ledger.pay_out("sim-alice", amount, "memo", prize.clone(), now).unwrap();
    assert_eq!(
        ledger.pay(&paid_out, now),
        Err(pioneer_session::simulator::Refusal::NotApproved),
        "the receiver does not sign"
    );
    assert!(ledger.incomplete("sim-alice", now).unwrap().is_empty());
    let own = ledger.create("sim-alice", amount, "memo", prize, now).unwrap();
    drop(ledger);
    let (status, shown) = app.key("GET", &format!("/v2/payments/{paid_out}"), None);
    assert_eq!((status, &shown["direction"]), (200, &json!("app_to_user")));
    assert_eq!((&shown["user_uid"], &shown["status"]["cancelled"]), (&json!(ALICE), &json!(false)));
    assert_eq!(
        (&shown["status"]["developer_approved"], &shown["transaction"]),
        (&json!(true), &Value::Null)
    );
    let (_, theirs) = app.key("GET", &format!("/v2/payments/{own}"), None);
    assert_eq!(
        (&theirs["from_address"], &theirs["to_address"]),
        (&shown["to_address"], &shown["from_address"])
    );
    let (status, refused) = app.key("POST", &format!("/v2/payments/{paid_out}/approve"), None);
    assert_eq!((status, &refused["error"]), (400, &json!("already_approved")));
    // Pi does not know either whether the money is on its way, so it allows the app to cancel.
    let (status, cancelled) = app.key("POST", &format!("/v2/payments/{paid_out}/cancel"), None);
    assert_eq!((status, &cancelled["status"]["cancelled"]), (200, &json!(true)));
}
