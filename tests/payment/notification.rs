//! In-app notifications.

use super::*;

#[test]
fn notifications_are_sent_with_the_key_and_reported_as_delivered() {
    let (app, token) = shop();
    let one = |uid: &str| json!({ "title": "Hi", "body": "There is news.", "userUid": uid, "subroute": "/news" });
    let post = |token: &str, list: Vec<Value>| {
        with_body("POST", "/notifications", token, &json!({ "notifications": list }))
    };
    let sent = call(&app, &post(CREDENTIAL, vec![one(ALICE), one("nobody-at-all")]));
    assert_eq!(sent.status, 200, "{sent:?}");
    assert_eq!(sent.json()["requested"], 2);
    assert_eq!(sent.json()["deliveredTo"][0], ALICE);
    let many = call(&app, &post(CREDENTIAL, (0..256).map(|n| one(&format!("uid-{n}"))).collect()));
    assert_eq!((many.status, &many.json()["requested"]), (200, &json!(256)));
    let over = (0..257).map(|n| one(&format!("uid-{n}"))).collect();
    for list in [
        vec![],
        over,
        vec![json!({ "title": "x" })],
        vec![json!({ "title": "", "body": "b", "userUid": "u", "subroute": "/" })],
    ] {
        stands(&app, &post(CREDENTIAL, list), 400, "invalid_request");
    }
    // A quota of Pi is no error of the key. Notifications that may have been sent are not reported
    // as failed.
    let answered = |status: u16, kind: &str, body: &str| {
        let answer = http::Response::builder().status(status).header("content-type", kind);
        app.transport.prepared.replace(Some(answer.body(body.into()).unwrap()));
        call(&app, &post(CREDENTIAL, vec![one(ALICE)]))
    };
    let quota = answered(403, "application/json", r#"{"error":"Too many for these: …"}"#);
    assert_eq!((quota.status, quota.code().as_str()), (502, "pi_refused"));
    assert_eq!(answered(401, "application/json", "{}").code(), "misconfigured");
    let unclear = answered(201, "text/html", "<html>");
    assert_eq!((unclear.status, &unclear.json()["unconfirmed"]), (200, &json!(1)));
    let outside =
        json!({ "title": "a", "body": "b", "userUid": "u", "subroute": "https://evil.example" });
    stands(&app, &post(CREDENTIAL, vec![outside]), 400, "invalid_request");
    stands(&app, &post(&token, vec![one(ALICE)]), 401, "backend_rejected");
}
