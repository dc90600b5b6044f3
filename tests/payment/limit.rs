//! Rate limits of orders, steps and claims.

use super::*;

#[test]
fn a1_r6_orders_steps_and_claims_are_limited_by_user_before_pi_is_asked() {
    let (app, token) = shop();
    app.limiter.limit.set(3);
    let order = || {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        request("POST", "/orders", &headers, r#"{"productId":"coffee"}"#)
    };
    let steps: [(&str, Request<Vec<u8>>); 3] = [
        ("orders", order()),
        ("steps", with_token("POST", "/payments/unknown/approve", &token)),
        ("claims", with_token("POST", "/ads/unknown/claim", &token)),
    ];
    for (name, request) in steps {
        for _ in 0..3 {
            assert_ne!(call(&app, &request).status, 429, "{name}");
        }
        let before = (app.store.memory.counts(), app.store.payments.counts());
        let reply = call(&app, &request);
        assert_eq!((reply.status, reply.code().as_str(), reply.sent), (429, "rate_limited", 0));
        assert_eq!((app.store.memory.counts(), app.store.payments.counts()), before, "{name}");
    }
    // Reads are not counted.
    for path in ["/payments", "/me", "/session"] {
        assert_eq!(call(&app, &with_token("GET", path, &token)).status, 200);
    }
}

#[test]
fn a1_the_token_of_a_revoked_session_does_not_use_up_its_users_limit() {
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    let stolen = call(&app, &sign_in("sim-alice")).token();
    call(&app, &with_token("DELETE", "/session", &stolen));
    app.limiter.limit.set(3);
    for _ in 0..10 {
        assert_eq!(call(&app, &step(&stolen, &payment, "approve")).code(), "session_revoked");
    }
    assert_eq!(call(&app, &step(&token, &payment, "approve")).status, 200);
}
