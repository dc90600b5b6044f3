//! Sessions: signing in, listing, revoking and signing out; their lifetimes and times.

use super::*;

#[test]
fn signing_in_opens_every_route_and_signing_out_closes_them() {
    let app = test_app();
    let signed_in = call(&app, &sign_in("sim-alice"));
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    let token = signed_in.token();
    let user = json!({
        "uid": ALICE, "username": "alice_pioneer",
        "scopes": ["payments", "platform", "username"],
        "firstSeenAt": "2025-10-09T08:53:20Z", "lastSeenAt": "2025-10-09T08:53:20Z",
    });
    let mut new_user = user.clone();
    new_user["isNew"] = true.into();
    let expected = json!({
        "sessionToken": token, "tokenType": "Bearer", "expiresIn": 600,
        "expiresAt": "2025-10-09T09:03:20Z", "user": new_user,
        "refreshToken": signed_in.refresh(), "refreshExpiresAt": "2025-10-16T08:53:20Z",
    });
    assert_eq!(signed_in.json(), expected);

    // The view of a backend, from the public keys only.
    let jwks = call(&app, &request("GET", "/.well-known/jwks.json", &[], ""));
    assert_eq!(jwks.header("content-type"), Some("application/jwk-set+json"));
    assert!(!jwks.body.contains(SEED) && !jwks.body.contains("\"d\""));
    let keys = KeySet::from_jwks(jwks.body.as_bytes()).unwrap();
    let now = UnixTime::from_seconds(NOW).unwrap();
    let held = jwt::verify(token.as_bytes(), &keys, &app.settings.policy, now).unwrap().claims;
    assert_eq!(held.sub.as_str(), ALICE);
    assert!(held.app_bound);
    assert_eq!(held.scope, "payments platform username");

    let session = call(&app, &with_token("GET", "/session", &token));
    let expected = json!({
        "sid": held.sid.as_str(), "uid": ALICE, "user": user,
        "issuedAt": "2025-10-09T08:53:20Z", "expiresAt": "2025-10-09T09:03:20Z",
    });
    assert_eq!((session.status, session.json()), (200, expected));
    let me = call(&app, &with_token("GET", "/me", &token));
    assert_eq!(me.status, 200);
    assert_eq!((&me.json()["user"], &me.json()["data"]), (&user, &json!({})));

    // Signing out revokes only this session.
    let other = call(&app, &sign_in("sim-alice"));
    assert_eq!(other.json()["user"]["isNew"], false);
    let gone = call(&app, &with_token("DELETE", "/session", &token));
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    for (method, path) in [
        ("GET", "/session"),
        ("DELETE", "/session"),
        ("GET", "/me"),
        ("GET", "/me/data"),
        ("DELETE", "/me"),
    ] {
        refused(&app, &with_token(method, path, &token), 401, "session_revoked");
    }
    refused(&app, &put(&token, "{}", None), 401, "session_revoked");
    assert_eq!(call(&app, &with_token("GET", "/session", &other.token())).status, 200);

    // Erasing revokes the others, and deletes the data.
    assert_eq!(call(&app, &with_token("DELETE", "/me", &other.token())).status, 204);
    refused(&app, &backend("GET", &format!("/users/{ALICE}")), 404, "not_found");
    refused(&app, &with_token("GET", "/session", &other.token()), 401, "session_revoked");
}

#[test]
fn a8_i3_a_hundred_sign_ins_of_one_uid_are_one_user() {
    let app = test_app();
    let mut new = 0;
    let mut sids = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let reply = call(&app, &sign_in("sim-alice"));
        new += usize::from(reply.json()["user"]["isNew"] == true);
        let session = call(&app, &with_token("GET", "/session", &reply.token()));
        sids.insert(session.json()["sid"].as_str().unwrap().to_owned());
    }
    assert_eq!((new, sids.len(), app.store.memory.counts().0), (1, 100, 1));
}

#[test]
fn s1_sessions_are_listed_and_revoked_one_by_one_and_together() {
    let app = test_app();
    let [here, there, third] =
        [0, 1, 2].map(|later| call_at(&app, &sign_in("sim-alice"), NOW + later).token());
    let bob = call(&app, &sign_in("sim-bob")).token();
    let list = |token: &str| call(&app, &with_token("GET", "/sessions", token));
    let sessions = list(&here).json()["sessions"].as_array().unwrap().clone();
    assert_eq!(sessions.len(), 3);
    assert_eq!(sessions[2]["current"], json!(true));
    assert_eq!(sessions[0]["current"], json!(false));
    assert_eq!(sessions[2]["createdAt"], json!("2025-10-09T08:53:20Z"));
    let sid = |token: &str| {
        let shown = call(&app, &with_token("GET", "/session", token)).json();
        shown["sid"].as_str().unwrap().to_owned()
    };
    let end = |token: &str, sid: &str| with_token("DELETE", &format!("/sessions/{sid}"), token);

    // Neither another user's session, nor an unknown one.
    for unknown in [sid(&bob).as_str(), "unknown", "", "a/b", "%00"] {
        refused(&app, &end(&here, unknown), 404, "not_found");
    }
    let there_sid = sid(&there);
    refused(&app, &end(&here, &format!("x/{there_sid}")), 404, "not_found");
    assert_eq!(call(&app, &with_token("GET", "/session", &there)).status, 200);
    assert_eq!(call(&app, &end(&here, &there_sid)).status, 204);
    refused(&app, &with_token("GET", "/session", &there), 401, "session_revoked");
    refused(&app, &with_token("GET", "/sessions", &there), 401, "session_revoked");
    refused(&app, &end(&here, &there_sid), 404, "not_found");
    refused(&app, &end(&there, &sid(&here)), 401, "session_revoked");
    refused(&app, &with_token("DELETE", "/sessions", &there), 401, "session_revoked");

    assert_eq!(call(&app, &with_token("DELETE", "/sessions", &here)).status, 204);
    for token in [&here, &third] {
        refused(&app, &with_token("GET", "/session", token), 401, "session_revoked");
    }
    assert_eq!(call(&app, &with_token("GET", "/session", &bob)).status, 200);
    refused(&app, &with_token("PUT", "/sessions", &bob), 405, "method_not_allowed");
}

#[test]
fn s2_one_session_too_many_revokes_the_oldest() {
    let app = test_app_with(&[("MAX_SESSIONS_PER_USER", "2")]);
    let [first, second, third] =
        [0, 1, 2].map(|later| call_at(&app, &sign_in("sim-alice"), NOW + later).token());
    let status = |token: &str| call_at(&app, &with_token("GET", "/session", token), NOW + 3).status;
    assert_eq!([status(&first), status(&second), status(&third)], [401, 200, 200]);
    for bad in ["0", "101", "-1", "many", "1.5"] {
        let wrong = settings(&[("MAX_SESSIONS_PER_USER", bad)]).unwrap_err();
        assert_eq!(wrong.setting, "MAX_SESSIONS_PER_USER");
    }
}

#[test]
fn a_sign_in_that_is_repeated_with_its_key_opens_one_session() {
    let app = test_app();
    let named = |token: &str| with_header(sign_in(token), "idempotency-key", "sign-in-1");
    let first = call(&app, &named("sim-alice"));
    let again = call_at(&app, &named("sim-alice"), NOW + 20);
    assert_eq!(
        (again.status, again.token(), again.refresh()),
        (200, first.token(), first.refresh())
    );
    assert_eq!(again.json()["user"]["isNew"], true);
    assert_eq!(again.json()["expiresIn"], 580);
    assert_eq!(app.store.memory.counts(), (1, 1));
    // The key of another user is another key. So is a key whose session is in use, revoked or
    // bound.
    assert_ne!(claims(&app, &call(&app, &named("sim-bob"))).sid, claims(&app, &first).sid);
    let key = BrowserKey::new(1);
    let bound = with_header(bound_sign_in("sim-alice", &key), "idempotency-key", "sign-in-1");
    let bound = call(&app, &bound);
    assert_eq!(bound.status, 200);
    refused(&app, &refresh(&bound.refresh()), 401, "invalid_dpop_proof");
    let refreshed = call_at(&app, &refresh(&first.refresh()), NOW + 21);
    let new = call_at(&app, &named("sim-alice"), NOW + 22);
    assert_eq!((new.status, &new.json()["user"]["isNew"]), (200, &json!(false)));
    assert_ne!(claims(&app, &new).sid, claims(&app, &first).sid);
    assert_eq!(
        call_at(&app, &with_token("GET", "/session", &refreshed.token()), NOW + 23).status,
        200
    );
    for ended in [&first, &new] {
        call_at(&app, &with_token("DELETE", "/session", &ended.token()), NOW + 24);
    }
    let after = call_at(&app, &named("sim-alice"), NOW + 25);
    assert_eq!(after.status, 200);
    assert_eq!(call_at(&app, &with_token("GET", "/session", &after.token()), NOW + 26).status, 200);
}

#[test]
fn r14_a_session_begins_after_pis_answer() {
    let app = test_app();
    app.transport.takes.set(4);
    let signed_in = call(&app, &sign_in("sim-alice"));
    let held = claims(&app, &signed_in);
    assert_eq!((held.iat.seconds(), held.auth_time.seconds()), (NOW + 4, NOW + 4));
    // All sessions are revoked before its session begins, although its request came earlier.
    app.clock.0.set(at(NOW + 10));
    assert_eq!(block_on(app.store.memory.revoke_everyone(at(NOW + 12))), Ok(()));
    let during = call_at(&app, &sign_in("sim-alice"), NOW + 10);
    assert_eq!(claims(&app, &during).iat.seconds(), NOW + 14);
    assert!(!feed(&app, NOW + 15).revokes(&claims(&app, &during)));
}

/// This happens if another isolate's clock is ahead, or if all sessions are revoked between the
/// signature and the row.
#[test]
fn r14_a_sign_in_during_a_revocation_begins_after_it() {
    let app = test_app();
    block_on(app.store.memory.revoke_everyone(at(NOW + 3))).unwrap();
    let signed_in = call(&app, &sign_in("sim-alice"));
    assert_eq!(signed_in.status, 200);
    assert_eq!(claims(&app, &signed_in).iat.seconds(), NOW + 3);
    assert_eq!(signed_in.json()["user"]["isNew"], true);
    let feed = feed(&app, NOW + 4);
    assert!(!feed.revokes(&claims(&app, &signed_in)), "the Worker and its feed agree");
    assert_eq!(
        call_at(&app, &with_token("GET", "/session", &signed_in.token()), NOW + 4).status,
        200
    );
}

#[test]
fn s4_a_session_token_expires() {
    let app = test_app();
    let token = call(&app, &sign_in("sim-alice")).token();
    assert_eq!(call_at(&app, &with_token("GET", "/session", &token), NOW + 599).status, 200);
    for later in [600, 604, 605, 3600, 86_400] {
        let reply = call_at(&app, &with_token("GET", "/session", &token), NOW + later);
        assert_eq!((reply.status, reply.code().as_str()), (401, "session_expired"));
    }
    let early = call_at(&app, &with_token("GET", "/session", &token), NOW - 3600);
    assert_eq!((early.status, early.code().as_str()), (401, "session_invalid"));
    assert_eq!(call(&app, &with_token("GET", "/session", &token)).status, 200);

    let short = test_app_with(&[("SESSION_TTL", "60")]);
    let reply = call(&short, &sign_in("sim-alice"));
    assert_eq!(
        (&reply.json()["expiresIn"], &reply.json()["expiresAt"]),
        (&json!(60), &json!("2025-10-09T08:54:20Z"))
    );
}

#[test]
fn r21_s7_a_failure_to_sign_opens_no_session_and_loses_no_refresh() {
    let app = test_app();
    let token = call(&app, &sign_in("sim-alice")).refresh();
    for request in [sign_in("sim-bob"), request("GET", "/revocations", &[], ""), refresh(&token)] {
        app.signer.failures.set(1);
        refused(&app, &request, 500, "internal");
    }
    // Spent, and within the grace: the same token gets the answer that was lost.
    assert_eq!(call(&app, &refresh(&token)).status, 200);
}

#[test]
fn s7_a_failing_store_is_reported() {
    let app = test_app();
    let signed_in = call(&app, &sign_in("sim-alice"));
    let token = signed_in.token();
    for request in [
        sign_in("sim-bob"),
        with_token("GET", "/session", &token),
        with_token("DELETE", "/session", &token),
        with_token("GET", "/me", &token),
        with_token("GET", "/me/data", &token),
        put(&token, "{}", None),
        with_token("DELETE", "/me", &token),
        with_token("GET", "/sessions", &token),
        refresh(&signed_in.refresh()),
        request("GET", "/revocations", &[], ""),
        backend("GET", &format!("/users/{ALICE}")),
        backend("POST", &format!("/users/{ALICE}/revoke")),
        backend("POST", "/revoke-all"),
        introspect(&token),
    ] {
        let before = app.store.memory.counts();
        app.store.fails.set(true);
        let reply = call(&app, &request);
        app.store.fails.set(false);
        assert_eq!((reply.status, reply.code().as_str()), (503, "storage_unavailable"));
        assert!(!reply.body.contains("SQLITE") && !reply.body.contains("sessionToken"));
        assert_eq!(app.store.memory.counts(), before);
        assert_eq!(call(&app, &with_token("GET", "/session", &token)).status, 200);
    }
    // Routes without the store still work.
    app.store.fails.set(true);
    assert_eq!(call(&app, &request("GET", "/health", &[], "")).status, 200);
    assert_eq!(call(&app, &request("GET", "/.well-known/jwks.json", &[], "")).status, 200);
    assert_eq!(call(&app, &sign_in("sim-revoked")).code(), "access_token_rejected");
}
