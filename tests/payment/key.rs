//! The app's key, and the time that Pi has.

use super::*;

#[test]
fn the_key_is_missing_a_placeholder_or_rejected_and_never_shown() {
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    let with = |key: &str| TestApp {
        settings: test_app_with(&[("PI_API_KEY", key)]).settings,
        ..shop().0
    };
    for (key, says) in [("", "is missing"), ("another-key-of-another-app", "was refused by Pi")] {
        let other = with(key);
        let token = call(&other, &sign_in("sim-alice")).token();
        for request in [
            step(&token, &payment, "approve"),
            step(&token, &payment, "recover"),
            with_token("POST", "/ads/some-ad/claim", &token),
        ] {
            let reply = call(&other, &request);
            assert_eq!((reply.status, reply.code().as_str()), (500, "misconfigured"), "{reply:?}");
            assert!(reply.body.contains("PI_API_KEY") && reply.body.contains(says));
            assert!(key.is_empty() || !reply.body.contains(key));
        }
        assert_eq!(call(&other, &request("GET", "/products", &[], "")).status, 200);
    }
    for placeholder in ["YOUR_API_KEY", "<key>", "changeme", "short", "a key of two words"] {
        let wrong = settings(&[("PI_API_KEY", placeholder)]).unwrap_err();
        assert_eq!(wrong.setting, "PI_API_KEY");
    }
    // Pi echoes the key: neither the answer nor the log contains it.
    let echo = format!(r#"{{"error":"{SERVER_API_KEY}","error_message":"{SERVER_API_KEY}"}}"#);
    let answer = http::Response::builder().status(400).header("content-type", "application/json");
    app.transport.prepared.replace(Some(answer.body(echo.into_bytes()).unwrap()));
    let reply = call(&app, &step(&token, &payment, "approve"));
    assert_eq!((reply.status, reply.code().as_str()), (502, "pi_refused"));
    assert_eq!(reply.json().get("piError"), None);
    // A 401 with a code is about the payment, not about the key.
    let refusal = br#"{"error":"missing_scope","error_message":"No."}"#.to_vec();
    let answer = http::Response::builder().status(401).header("content-type", "application/json");
    app.transport.prepared.replace(Some(answer.body(refusal).unwrap()));
    let reply = call(&app, &step(&token, &payment, "approve"));
    assert_eq!((reply.status, &reply.json()["piError"]), (502, &json!("missing_scope")));
}

#[test]
fn pi_has_ten_seconds_where_its_failure_costs_the_user_most_and_five_elsewhere() {
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    call(&app, &step(&token, &payment, "approve"));
    call(&app, &complete(&token, &payment, &sign(&app, &payment)));
    let requests = app.transport.simulator.requests.borrow();
    let asked: Vec<(&str, u32)> = requests
        .iter()
        .map(|request| {
            let pi::Deadline(seconds) = *request.extensions().get().expect("a deadline");
            (request.uri().path().rsplit('/').next().unwrap(), seconds)
        })
        .collect();
    let id = payment.as_str();
    assert_eq!(asked, [("me", 10), (id, 5), ("approve", 5), (id, 5), ("complete", 10)]);
}

#[test]
fn a_key_of_another_app_or_network_is_reported() {
    let (app, token) = shop();
    // Pi answers like this to the key of another app: it knows none of the payments.
    let approve = |payment: &str, is_known: bool| {
        if !is_known {
            let answer =
                http::Response::builder().status(404).header("content-type", "application/json");
            app.transport
                .prepared
                .replace(Some(answer.body(br#"{"error":"payment_not_found"}"#.to_vec()).unwrap()));
        }
        let request = step(&token, payment, "approve");
        let response = block_on(service::handle(&app, &request, entropy()));
        let reason = response.extensions().get::<service::LogEntry>().unwrap().reason.clone();
        (checked(&request, response), reason.unwrap_or_default())
    };
    let known = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    assert_eq!(approve(&known, true).0.status, 200);
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    let (reply, reason) = approve(&payment, false);
    assert_eq!((reply.status, reply.code().as_str()), (404, "payment_not_found"));
    assert!(reply.json()["detail"].as_str().unwrap().contains("PI_API_KEY"), "{}", reply.body);
    assert!(
        reason.contains("PI_API_KEY") && reason.contains("another Pi app or network"),
        "{reason}"
    );
    for _ in 0..2 {
        approve(&payment, false);
    }
    let (_, reason) = approve(&payment, false);
    assert!(reason.contains("the last 4 payments"), "{reason}");
    // A payment that Pi knows resets the count, and Pi is not asked about a text that is not an id.
    assert_eq!(approve(&payment, true).0.status, 200);
    let (reply, reason) =
        approve(&pay_for(&app, "sim-bob", &json!({ "amount": "1", "metadata": {} })), false);
    assert_eq!(reply.code(), "payment_not_found");
    assert!(!reason.contains("the last"), "{reason}");
    let (reply, reason) = approve("not.an.id", true);
    assert_eq!((reply.code().as_str(), reason.as_str()), ("payment_not_found", ""));
}
