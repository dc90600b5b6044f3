//! Keys and sets of keys, and the cache of verified tokens.

use super::*;

fn jwk(x: &str, kid: &str, more: &str) -> String {
    format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{kid}"{more}}}"#)
}

fn import(jwks: &[String]) -> Result<(), KeyError> {
    KeySet::from_jwks(format!(r#"{{"keys":[{}]}}"#, jwks.join(",")).as_bytes()).map(|_| ())
}

#[test]
fn e3_e4_public_keys_are_checked_at_import() {
    let (_, other_x, other_kid) = other_key();
    let good = || jwk(X, KID, "");
    assert_eq!(import(&[good(), jwk(&other_x, &other_kid, "")]), Ok(()));
    for more in [
        r#","alg":"EdDSA""#,
        r#","alg":"Ed25519""#,
        r#","use":"sig""#,
        r#","key_ops":["verify"]"#,
        r#","unknown":1"#,
        r#","state":"whatever""#,
    ] {
        assert_eq!(import(&[jwk(X, KID, more)]), Ok(()), "{more}");
    }
    for more in [
        r#","alg":"ES256""#,
        r#","alg":"none""#,
        r#","use":"enc""#,
        r#","key_ops":["encrypt"]"#,
        r#","key_ops":["sign"]"#,
        r#","key_ops":[]"#,
    ] {
        assert_eq!(import(&[jwk(X, KID, more)]), Err(KeyError::NotEd25519), "{more}");
    }
    // T4: one kid, one key.
    assert_eq!(import(&[good(), good()]), Err(KeyError::DuplicateKeyId));
    let namesake = format!(r#"{{"kty":"EC","crv":"P-256","kid":"{KID}"}}"#);
    assert_eq!(import(&[good(), namesake]), Err(KeyError::DuplicateKeyId));
    for member in ["d", "k", "p", "q"] {
        let private = jwk(X, KID, &format!(r#","{member}":"{D}""#));
        assert_eq!(import(&[private]), Err(KeyError::Private), "{member}");
        let foreign = format!(r#"{{"kty":"RSA","{member}":"AA"}}"#);
        assert_eq!(import(&[good(), foreign]), Err(KeyError::Private), "{member}");
    }
    // Keys of other types are skipped, but do not make a set.
    for foreign in [
        format!(r#"{{"kty":"OKP","crv":"X25519","x":"{X}","kid":"other"}}"#),
        format!(r#"{{"kty":"OKP","crv":"ed25519","x":"{X}","kid":"other"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{X}"}}"#),
        format!(r#"{{"kty":"OKP","x":"{X}","kid":"other"}}"#),
    ] {
        assert_eq!(import(&[foreign.clone(), good()]), Ok(()));
        assert_eq!(import(&[foreign]), Err(KeyError::Empty));
    }
    let bytes = unb64(X);
    let small_order = |first: u8, last: u8| {
        let mut point = [0; 32];
        (point[0], point[31]) = (first, last);
        b64(point)
    };
    let mut not_canonical = vec![0xff; 32];
    (not_canonical[0], not_canonical[31]) = (0xee, 0x7f);
    for x in [
        b64(&bytes[..31]),
        b64([&bytes[..], &[0]].concat()),
        format!("{X}="),
        String::new(),
        format!("{X}\\n"),
        X.replace('_', "/"),
        small_order(0, 0),
        small_order(1, 0),
        small_order(0, 0x80),
        small_order(1, 0x80),
        b64(not_canonical),
        b64([2; 32]),
        b64([0xff; 32]),
        respelled(X, 2)[0].clone(),
    ] {
        let refusal = import(&[jwk(&x, &thumbprint(&x), "")]);
        assert_eq!(refusal, Err(KeyError::Unsound), "{x}");
    }
    for kid in ["", "key-1", &other_kid, &KID[..42], &KID.to_lowercase()] {
        assert_eq!(import(&[jwk(X, kid, "")]), Err(KeyError::WrongKeyId), "{kid}");
    }
    let without_kid = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}"}}"#);
    assert_eq!(import(&[without_kid]), Err(KeyError::WrongKeyId));
    let without_x = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{KID}"}}"#);
    assert_eq!(import(&[without_x]), Err(KeyError::Unsound));
    assert_eq!(import(&[]), Err(KeyError::Empty));
    assert_eq!(import(&vec![good(); 101]), Err(KeyError::TooMany));
    for text in [
        "",
        "[]",
        "{}",
        "null",
        r#"{"keys":{}}"#,
        r#"{"keys":[1]}"#,
        r#"{"keys":[{}]}"#,
        r#"{"keys":[],"keys":[]}"#,
        &good(),
        r#"{"keys":[{"kty":1}]}"#,
        "<html>",
        &public_jwks().replace(r#""crv""#, r#""x":"A","crv""#),
    ] {
        let refusal = KeySet::from_jwks(text.as_bytes()).map(|_| ());
        assert_eq!(refusal, Err(KeyError::Malformed), "{text}");
    }
}

#[test]
fn a5_e4_signing_keys_have_one_that_is_active() {
    let (d, x, kid) = other_key();
    let ours = |state: &str| private(D, X, KID, state);
    let other = |state: &str| private(&d, &x, &kid, state);
    let read = |jwks: &[String]| signing_keys(jwks).map(|_| ());
    for jwks in [vec![ours("active"), other("retired")], vec![other("next"), ours("active")]] {
        let keys = signing_keys(&jwks).unwrap();
        assert_eq!(keys.active().public().kid(), KID);
        let public = keys.all().to_jwks();
        assert!(public.contains(KID) && public.contains(&kid), "every state is public");
        assert!(!public.contains(D) && !public.contains(&d) && !public.contains("state"));
        assert!(KeySet::from_jwks(public.as_bytes()).is_ok(), "and can be imported");
    }
    assert_eq!(read(&[ours("next")]), Err(KeyError::NotOneActive));
    assert_eq!(read(&[ours("active"), other("active")]), Err(KeyError::NotOneActive));
    assert_eq!(read(&[ours("active"), ours("retired")]), Err(KeyError::DuplicateKeyId));
    assert_eq!(read(&[ours("Active")]), Err(KeyError::State));
    assert_eq!(read(&[jwk(X, KID, &format!(r#","d":"{D}""#))]), Err(KeyError::State));
    assert_eq!(read(&[]), Err(KeyError::Empty));
    assert_eq!(read(&[private(&d, X, KID, "active")]), Err(KeyError::Unsound));
    assert_eq!(read(&[private(&D[..42], X, KID, "active")]), Err(KeyError::Unsound));
    assert_eq!(read(&[private(&format!("{D}="), X, KID, "active")]), Err(KeyError::Unsound));
    assert_eq!(read(&[private(D, X, &kid, "active")]), Err(KeyError::WrongKeyId));
    assert_eq!(read(&[jwk(X, KID, r#","state":"active""#)]), Err(KeyError::NoPrivateKey));
    for state in ["next", "retired"] {
        // Only its public half is needed, and it cannot sign.
        let public = jwk(&x, &kid, &format!(r#","state":"{state}""#));
        let keys = signing_keys(&[public, ours("active")]).unwrap();
        assert_eq!(keys.active().public().kid(), KID);
        assert!(keys.all().to_jwks().contains(&kid), "{state}");
    }
    let wrong = private(D, X, KID, "active").replace("Ed25519", "X25519");
    assert_eq!(read(&[wrong]), Err(KeyError::NotEd25519));
    assert!(matches!(
        SigningKeys::from_jwks(&Secret::new("hunter2".into())),
        Err(KeyError::Malformed)
    ));
}

#[test]
fn t4_a_retired_key_verifies_and_a_removed_one_does_not() {
    let (d, x, kid) = other_key();
    let before = signing_keys(&[private(&d, &x, &kid, "active")]).unwrap();
    let token = sign(&claims(), before.active()).unwrap();
    let during = [private(&d, &x, &kid, "retired"), private(D, X, KID, "active")];
    let during = signing_keys(&during).unwrap();
    let held = jwt::verify(token.as_bytes(), during.all(), &policy(), at(NOW));
    assert!(held.is_ok());
    refused(token, Error::UnknownKey);
}

#[test]
fn a_cached_token_is_checked_against_time_and_policy_each_time() {
    let signing = signing_keys(&[private(D, X, KID, "active")]).unwrap();
    let token = sign(&claims(), signing.active()).unwrap();
    let at_time = |now| signing.verify(token.as_bytes(), &policy(), at(now));
    for _ in 0..2 {
        assert_eq!(at_time(NOW), Ok(claims()));
    }
    assert_eq!(at_time(NOW + 605), Err(Error::Expired));
    assert_eq!(at_time(NOW - 6), Err(Error::NotYetValid));
    let other = Policy { audience: "other".into(), ..policy() };
    assert_eq!(signing.verify(token.as_bytes(), &other, at(NOW)), Err(Error::Audience));
    assert_eq!(at_time(NOW), Ok(claims()), "a refusal forgets nothing");
    // Tokens are not printed either.
    let printed = format!("{signing:?}");
    assert!(!printed.contains("sid-1") && !printed.contains(token.split('.').nth(1).unwrap()));
    // Other keys have another cache.
    let (d, x, kid) = other_key();
    let others = signing_keys(&[private(&d, &x, &kid, "active")]).unwrap();
    assert_eq!(others.verify(token.as_bytes(), &policy(), at(NOW)), Err(Error::UnknownKey));
}

#[test]
fn t9_a_token_that_resembles_a_cached_one_is_verified() {
    let signing = signing_keys(&[private(D, X, KID, "active")]).unwrap();
    let token = sign(&claims(), signing.active()).unwrap().into_bytes();
    assert!(signing.verify(&token, &policy(), at(NOW)).is_ok());
    for index in 0..token.len() {
        let mut changed = token.clone();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        assert!(signing.verify(&changed, &policy(), at(NOW)).is_err(), "{index}");
        let cut = &token[..index];
        assert!(signing.verify(cut, &policy(), at(NOW)).is_err(), "{index}");
    }
    // Many tokens, more than the cache stores, each with its own claims.
    let many: Vec<_> = (0..6000)
        .map(|number| {
            let sid = Identifier::parse(format!("sid-{number}")).unwrap();
            let claims = Claims { sid, ..claims() };
            (sign(&claims, signing.active()).unwrap(), claims)
        })
        .collect();
    for (token, claims) in many.iter().chain(many.iter().rev()) {
        assert_eq!(signing.verify(token.as_bytes(), &policy(), at(NOW)).as_ref(), Ok(claims));
    }
}

/// `doctor` lists the same published keys that the Worker rejects.
#[test]
fn r13_the_published_keys_are_the_same_wherever_they_are_listed() {
    let root = env!("CARGO_MANIFEST_DIR");
    let listed = |path: &str, start: &str| -> Vec<String> {
        let text = std::fs::read_to_string(format!("{root}/{path}")).unwrap();
        let (_, list) = text.split_once(start).unwrap();
        let (list, _) = list.split_once(']').unwrap();
        list.split('"').skip(1).step_by(2).map(ToOwned::to_owned).collect()
    };
    let here = listed("src/jwt/key.rs", "const PUBLISHED: [&str; 6] = [");
    assert_eq!(here.len(), 6);
    assert_eq!(here, listed("pkg/cli/known-keys.mjs", "const PUBLISHED = ["));
}

#[test]
fn e4_a_key_can_be_announced_without_the_private_half_of_the_active_one() {
    let (d, x, kid) = other_key();
    let set = |keys: &[String]| Secret::new(format!(r#"{{"keys":[{}]}}"#, keys.join(",")));
    let announced = |coming: &[String]| {
        let mut keys = signing_keys(&[private(D, X, KID, "active")]).unwrap();
        keys.announce(&set(coming)).map(|()| keys)
    };
    let public = jwk(&x, &kid, r#","state":"next""#);
    for coming in [public.clone(), private(&d, &x, &kid, "next")] {
        let keys = announced(&[coming]).unwrap();
        assert_eq!(keys.active().public().kid(), KID, "it does not sign");
        let jwks = keys.all().to_jwks();
        assert!(jwks.contains(&kid) && jwks.contains(KID) && !jwks.contains(&d));
        assert!(KeySet::from_jwks(jwks.as_bytes()).is_ok());
    }
    // The owner puts the two secrets in one after the other.
    let again = announced(&[jwk(X, KID, r#","state":"next""#)]).unwrap();
    assert_eq!(again.all().to_jwks().matches(KID).count(), 1);

    let refused = |coming: &[String]| announced(coming).map(|_| ());
    // A seed of zeros is guessed from its public half, too.
    let x_of_zeros =
        b64(ed25519_dalek::SigningKey::from_bytes(&[0; 32]).verifying_key().as_bytes());
    let zeros = (&x_of_zeros, thumbprint(&x_of_zeros));
    assert!(announced(&[jwk(zeros.0, &zeros.1, r#","state":"next""#)]).unwrap().has_known());
    let retired = jwk(zeros.0, &zeros.1, r#","state":"retired""#);
    assert!(signing_keys(&[private(D, X, KID, "active"), retired]).unwrap().has_known());

    assert_eq!(refused(&[]), Err(KeyError::Empty));
    assert_eq!(refused(&[private(&d, &x, &kid, "active")]), Err(KeyError::NotNext));
    assert_eq!(refused(&[jwk(&x, &kid, "")]), Err(KeyError::NotNext));
    assert_eq!(refused(&[private(&d, X, KID, "next")]), Err(KeyError::Unsound));
    assert_eq!(refused(&[public.clone(), public]), Err(KeyError::DuplicateKeyId));
    assert_eq!(refused(&[jwk(&x, KID, r#","state":"next""#)]), Err(KeyError::WrongKeyId));
}
