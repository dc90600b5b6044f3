//! Refresh tokens that are bound to a key ([RFC 9449]).
//!
//! [RFC 9449]: https://www.rfc-editor.org/rfc/rfc9449

use super::*;

#[test]
fn s3_a_bound_refresh_token_works_with_its_key_at_any_time() {
    let app = test_app();
    let key = BrowserKey::new(1);
    let first = call(&app, &bound_sign_in("sim-alice", &key));
    assert_eq!(first.status, 200, "{first:?}");
    let second = call_at(&app, &proven_refresh(&first.refresh(), &key.proof(NOW + 300)), NOW + 300);
    assert_eq!((second.status, second.sent), (200, 0), "{second:?}");
    assert_ne!(second.refresh(), first.refresh());
    // Five tabs with the old token, late: all get the session's current tokens.
    for later in [301, 350, 899] {
        let again = proven_refresh(&first.refresh(), &key.proof(NOW + later));
        let again = call_at(&app, &again, NOW + later);
        assert_eq!((again.token(), again.refresh()), (second.token(), second.refresh()));
        assert_eq!(again.json()["expiresIn"], 900 - later);
    }
    let mut tokens = vec![first.refresh(), second.refresh()];
    for step in 1..6 {
        let now = NOW + 300 + 600 * step;
        let oldest = call_at(&app, &proven_refresh(&tokens[0], &key.proof(now)), now);
        assert_eq!((oldest.status, &oldest.json()["expiresIn"]), (200, &json!(600)));
        tokens.push(oldest.refresh());
    }
    let now = NOW + 4000;
    for token in &tokens {
        let answer = call_at(&app, &proven_refresh(token, &key.proof(now)), now);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn s3_a_bound_refresh_token_is_useless_without_its_key() {
    let app = test_app();
    let (key, thief) = (BrowserKey::new(1), BrowserKey::new(2));
    let first = call(&app, &bound_sign_in("sim-alice", &key));
    let stolen = first.refresh();
    for attempt in [
        refresh(&stolen),
        proven_refresh(&stolen, &thief.proof(NOW)),
        // The owner's public key with the thief's signature.
        proven_refresh(&stolen, &thief.changed(NOW, |header, _| header["jwk"] = key.jwk())),
    ] {
        refused(&app, &attempt, 401, "invalid_dpop_proof");
    }
    let reply =
        block_on(service::handle(&app, &proven_refresh(&stolen, &thief.proof(NOW)), entropy()));
    let entry = reply.extensions().get::<service::LogEntry>().unwrap();
    assert!(entry.reason.as_ref().unwrap().contains("another key"));
    assert_eq!(entry.event, service::Event::RefreshOtherKey);
    assert_eq!(entry.facts.sid, Some(claims(&app, &first).sid));
    // The owner's session still works.
    let owner = call(&app, &proven_refresh(&stolen, &key.proof(NOW)));
    assert_eq!(owner.status, 200, "{owner:?}");
    assert_eq!(call(&app, &with_token("GET", "/session", &first.token())).status, 200);
    // The reverse: a proof for a session without a key.
    let plain = call(&app, &sign_in("sim-bob"));
    refused(&app, &proven_refresh(&plain.refresh(), &key.proof(NOW)), 401, "invalid_dpop_proof");
    assert_eq!(call(&app, &refresh(&plain.refresh())).status, 200);
    // A thief's requests count separately from the owner's.
    let app = test_app();
    app.limiter.limit.set(30);
    let first = call(&app, &bound_sign_in("sim-alice", &key));
    for _ in 0..100 {
        call(&app, &refresh(&first.refresh()));
        call(&app, &proven_refresh(&first.refresh(), &thief.proof(NOW)));
    }
    let counted = call(&app, &refresh(&first.refresh()));
    assert_eq!(counted.code(), "rate_limited");
    assert_eq!(call(&app, &proven_refresh(&first.refresh(), &key.proof(NOW))).status, 200);
}

#[test]
fn s3_a_proof_is_for_one_request_just_now() {
    let app = test_app();
    let key = BrowserKey::new(1);
    let first = call(&app, &bound_sign_in("sim-alice", &key));
    let token = first.refresh();
    let private = json!(base64url(&[1; 32]));
    type Change<'a> = Box<dyn Fn(&mut Value, &mut Value) + 'a>;
    let header = |name: &'static str, value: Value| -> Change<'_> {
        Box::new(move |header: &mut Value, _: &mut Value| header[name] = value.clone())
    };
    let claim = |name: &'static str, value: Value| -> Change<'_> {
        Box::new(move |_: &mut Value, claims: &mut Value| claims[name] = value.clone())
    };
    let member = |name: &'static str, value: Value| -> Change<'_> {
        Box::new(move |header: &mut Value, _: &mut Value| header["jwk"][name] = value.clone())
    };
    for (at, change) in [
        header("typ", json!("JWT")),
        header("typ", json!("DPOP+JWT")),
        header("typ", json!(null)),
        header("alg", json!("none")),
        header("alg", json!("EdDSA")),
        header("alg", json!("RS256")),
        header("alg", json!("HS256")),
        header("crit", json!([])),
        header("crit", json!(["b64"])),
        header("jwk", json!(null)),
        header("jwk", json!("key")),
        member("d", private),
        member("kty", json!("OKP")),
        member("kty", json!("oct")),
        member("crv", json!("P-384")),
        member("crv", json!("secp256k1")),
        member("x", json!("")),
        member("x", json!("AA")),
        // A point that is not on the curve, and the point at infinity.
        member("y", json!(base64url(&[7; 32]))),
        member("x", json!(base64url(&[0; 32]))),
        claim("htm", json!("GET")),
        claim("htm", json!("post")),
        claim("htu", json!("https://id.example/session")),
        claim("htu", json!("https://evil.example/session/refresh")),
        claim("htu", json!("http://id.example/session/refresh")),
        claim("htu", json!("https://id.example/session/refresh?a")),
        claim("htu", json!("/session/refresh")),
        claim("jti", json!("")),
        claim("jti", json!(1)),
        claim("jti", json!("a b")),
        claim("jti", json!("x".repeat(65))),
        claim("jti", json!(null)),
        claim("iat", json!("now")),
        claim("iat", json!(null)),
        claim("iat", json!(NOW as f64 + 0.5)),
        claim("nonce", json!(1)),
    ]
    .iter()
    .enumerate()
    {
        let proof = key.changed(NOW, change);
        let refusal = refused(&app, &proven_refresh(&token, &proof), 401, "invalid_dpop_proof");
        assert!(refusal.header("www-authenticate").unwrap().starts_with("DPoP "), "{at}");
    }
    let good = key.proof(NOW);
    let parts: Vec<&str> = good.split('.').collect();
    let twin = key.signed(
        &json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk() }).to_string(),
        &format!(r#"{{"htm":"GET","htm":"POST","htu":"https://id.example/session/refresh","iat":{NOW},"jti":"a"}}"#),
    );
    for bad in [
        "",
        ".",
        "..",
        "a.b.c",
        &twin,
        &format!("{}.{}", parts[0], parts[1]),
        &format!("{}.{}.", parts[0], parts[1]),
        &format!("{good}A"),
        &format!("{good}="),
        &format!(" {good}").replace(' ', "."),
        &format!("{}.{}.{}", parts[1], parts[0], parts[2]),
        &format!("{}.{}.{}", parts[0], parts[1], base64url(&[0; 64])),
        &"x".repeat(5000),
        &format!("{good}, {good}"),
    ] {
        refused(&app, &proven_refresh(&token, bad), 401, "invalid_dpop_proof");
    }
    let both = with_header(proven_refresh(&token, &key.proof(NOW)), "dpop", &key.proof(NOW));
    refused(&app, &both, 401, "invalid_dpop_proof");
    // Stale, or from the future, by the issuer's time: the answer has a nonce, which works instead.
    for wrong in [NOW - 7200, NOW - 61, NOW + 11, NOW + 7200, -1, i64::MIN, i64::MAX] {
        let reply =
            refused(&app, &proven_refresh(&token, &key.proof(wrong)), 401, "use_dpop_nonce");
        let nonce = reply.header("dpop-nonce").unwrap().to_owned();
        let with = |nonce: &str| {
            let nonce = json!(nonce);
            key.changed(wrong, |_, claims| claims["nonce"] = nonce)
        };
        for other in ["", "nonce", &nonce[1..], &nonce.replace('A', "B")] {
            refused(&app, &proven_refresh(&token, &with(other)), 401, "use_dpop_nonce");
        }
        let late = call_at(&app, &proven_refresh(&token, &with(&nonce)), NOW + 61);
        assert_eq!(late.code(), "use_dpop_nonce");
        assert_eq!(call(&app, &proven_refresh(&token, &with(&nonce))).status, 200);
    }
    for right in [NOW - 60, NOW, NOW + 10] {
        assert_eq!(call(&app, &proven_refresh(&token, &key.proof(right))).status, 200);
    }
    // Only once.
    let used = key.proof(NOW);
    assert_eq!(call(&app, &proven_refresh(&token, &used)).status, 200);
    refused(&app, &proven_refresh(&token, &used), 401, "invalid_dpop_proof");
    assert_eq!(call(&app, &with_token("GET", "/session", &first.token())).status, 200);
    // A text that is not a thumbprint is rejected.
    for jkt in ["", "a", "a b", &key.thumbprint()[1..], &format!("{}A", key.thumbprint())] {
        let body = json!({ "accessToken": "sim-alice", "dpopJkt": jkt }).to_string();
        refused(&app, &post(&body), 400, "invalid_request");
    }
    refused(&app, &post(r#"{"accessToken":"sim-alice","dpopJkt":null}"#), 400, "invalid_request");
}

#[test]
fn the_example_of_rfc_9449_is_a_proof() {
    // Section 4.1; its key's thumbprint is that of section 6.1.
    let text = concat!(
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNo",
        "UklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERW",
        "clUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh",
        "0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8",
        "v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg",
    );
    let proof = Proof::read(text.as_bytes(), "POST", "https://server.example.com/token").unwrap();
    assert_eq!(proof.thumbprint().as_str(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    assert_eq!(proof.jti.as_str(), "-BwC3ESc6acc2lTc");
    let app = test_app();
    let holds = |signature| block_on(app.signer.verifies(&proof.key, proof.signed, &signature));
    assert_eq!(holds(proof.signature), Some(true));
    let mut other = proof.signature;
    other[0] ^= 1;
    assert_eq!(holds(other), Some(false));
    assert!(Proof::read(text.as_bytes(), "GET", "https://server.example.com/token").is_none());
}
