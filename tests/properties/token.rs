//! Tokens, feeds, keys, refresh tokens and proofs.

use super::*;

static KEYS_OF_ISSUER: LazyLock<SigningKeys> =
    LazyLock::new(|| SigningKeys::from_jwks(&Secret::new(KEYS.into())).unwrap());

fn key() -> &'static SigningKey {
    KEYS_OF_ISSUER.active()
}

fn public() -> KeySet {
    KEYS_OF_ISSUER.all().clone()
}

fn policy() -> Policy {
    Policy { issuer: "https://id.example".into(), audience: "app".into(), clock_tolerance: 5 }
}

fn claim_sets() -> impl Strategy<Value = Claims> {
    let ids = (identifiers(), identifiers(), identifiers());
    let moments = (0..=UnixTime::MAX.seconds() - 3600, 1..=MAX_LIFETIME, times());
    (ids, moments, "[a-z ]{0,60}", prop::option::of("\\PC{0,40}"), any::<bool>()).prop_map(
        |((sub, sid, jti), (iat, lifetime, auth_time), scope, preferred_username, app_bound)| {
            let iat = UnixTime::from_seconds(iat).unwrap();
            Claims {
                iss: "https://id.example".into(),
                aud: "app".into(),
                sub,
                sid,
                iat,
                exp: iat.plus(lifetime),
                nbf: None,
                auth_time,
                jti,
                scope,
                preferred_username,
                app_bound,
            }
        },
    )
}

fn signed(payload: &str, header: &str) -> String {
    let input = format!("{header}.{}", Base64UrlUnpadded::encode_string(payload.as_bytes()));
    let signature = key().sign(input.as_bytes());
    format!("{input}.{}", Base64UrlUnpadded::encode_string(&signature))
}

/// The header of a token or a feed.
fn header_of(token: &str) -> &str {
    token.split('.').next().unwrap()
}

fn token_of(claims: &Claims) -> String {
    let input = jwt::signing_input(claims, key()).unwrap();
    let signature = key().sign(input.as_bytes());
    input.signed(&signature)
}

fn document_of(window: &Window, fingerprints: &[u8]) -> Vec<u8> {
    let input = window.signing_input(key()).unwrap();
    let signature = key().sign(input.as_bytes());
    Window::document(input.signed(&signature), fingerprints)
}

/// The claims in a token whose header has the newer name of the algorithm (RFC 9864).
fn renamed(token: &str) -> String {
    let parts: Vec<Vec<u8>> =
        token.split('.').map(|part| Base64UrlUnpadded::decode_vec(part).unwrap()).collect();
    let [header, payload] = [0, 1].map(|at| core::str::from_utf8(&parts[at]).unwrap());
    let header = header.replace("EdDSA", "Ed25519");
    signed(payload, &Base64UrlUnpadded::encode_string(header.as_bytes()))
}

/// Other spellings of the same token. A verifier must reject all of them.
fn respelled(token: &str) -> Vec<String> {
    let standard = token.replace('-', "+").replace('_', "/");
    let parts: Vec<&str> = token.split('.').collect();
    let last_bits = |part: &str| {
        // The next character of the alphabet has the same leading bits where the last ones are
        // unused.
        let mut part = part.to_owned();
        let last = part.pop().unwrap();
        part.push(char::from(u8::try_from(u32::from(last)).unwrap() ^ 1));
        part
    };
    vec![
        standard,
        format!("{token}="),
        format!("{token}=="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}=.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], last_bits(parts[2])),
        format!("{}.{}.{}", parts[0], last_bits(parts[1]), parts[2]),
        format!("{}.{}.{}", parts[1], parts[0], parts[2]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
    ]
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn a_token_has_its_claims_and_only_one_spelling(
        claims in claim_sets(), is_renamed: bool, at: prop::sample::Index, byte: u8, bit in 0..8_u32,
    ) {
        let token = token_of(&claims);
        let token = if is_renamed { renamed(&token) } else { token };
        let (now, keys, policy) = (claims.iat, public(), policy());
        let held = jwt::verify(token.as_bytes(), &keys, &policy, now).unwrap();
        prop_assert_eq!(&held.claims, &claims);
        prop_assert_eq!(signed(core::str::from_utf8(&held.payload).unwrap(), header_of(&token)), token.clone());

        let index = at.index(token.len());
        for changed in [byte, token.as_bytes()[index] ^ (1 << bit)] {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = changed;
            let verdict = jwt::verify(&bytes, &keys, &policy, now);
            prop_assert!(verdict.is_err() || bytes == token.as_bytes());
            prop_assert!(Window::verify(&bytes, &keys, &policy, now).is_err());
        }
        for other in respelled(&token) {
            prop_assert!(other == token || jwt::verify(other.as_bytes(), &keys, &policy, now).is_err(), "{}", other);
            // The issuer caches the token, and no other spelling of it.
            prop_assert!(KEYS_OF_ISSUER.verify(token.as_bytes(), &policy, now).is_ok());
            prop_assert!(other == token || KEYS_OF_ISSUER.verify(other.as_bytes(), &policy, now).is_err());
        }
    }

    #[test]
    fn any_bytes_are_no_token(bytes in prop_oneof![vec(any::<u8>(), 0..4100), "[A-Za-z0-9_.-]{0,400}".prop_map(String::into_bytes)]) {
        let now = UnixTime::from_seconds(NOW).unwrap();
        prop_assert!(jwt::verify(&bytes, &public(), &policy(), now).is_err());
        prop_assert!(Window::verify(&bytes, &public(), &policy(), now).is_err());
        prop_assert!(KeySet::from_jwks(&bytes).is_err());
    }

    #[test]
    fn the_order_of_claims_does_not_matter_and_one_that_occurs_twice_is_refused(claims in claim_sets(), by: usize, more in jsons(), choice: u64) {
        let token = token_of(&claims);
        let Value::Object(members) = serde_json::to_value(&claims).unwrap() else { unreachable!() };
        let mut members: Vec<(&str, String)> = members.iter().map(|(name, value)| (name.as_str(), value.to_string())).collect();
        members.push(("more", more.to_text(choice)));
        let payload = rotated(&members, by);
        let verdict = |payload: &str| jwt::verify(signed(payload, header_of(&token)).as_bytes(), &public(), &policy(), claims.iat);
        let is_sound = !more.has_duplicates() && oracle(payload.as_bytes()).is_some();
        let fits = signed(&payload, header_of(&token)).len() <= jwt::MAX_TOKEN_BYTES;
        match verdict(&payload) {
            Ok(held) => {
                prop_assert!(is_sound && fits);
                prop_assert_eq!(&held.claims, &claims);
            }
            Err(error) => prop_assert!(!is_sound || !fits, "{:?}", error),
        }
        members.push(members[by % members.len()].clone());
        prop_assert!(verdict(&rotated(&members, by)).is_err());
    }

    #[test]
    fn t9_a_claim_of_another_type_is_never_a_default(claims in claim_sets(), name in select(vec!["iss", "aud", "sub", "sid", "iat", "exp", "nbf", "auth_time", "jti", "scope", "preferred_username", "app_bound"]), value in jsons(), choice: u64) {
        let token = token_of(&claims);
        let Value::Object(members) = serde_json::to_value(&claims).unwrap() else { unreachable!() };
        let text = value.to_text(choice);
        let mut members: Vec<(&str, String)> = members
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(name, value)| (name.as_str(), value.to_string()))
            .collect();
        members.push((name, text.clone()));
        let token = signed(&rotated(&members, 0), header_of(&token));
        let Ok(held) = jwt::verify(token.as_bytes(), &public(), &policy(), claims.iat) else { return Ok(()) };
        // An accepted claim must have exactly the value that was written.
        let Value::Object(mut written) = serde_json::to_value(&held.claims).unwrap() else { unreachable!() };
        if name != "nbf" {
            prop_assert_eq!(written.remove(name), oracle(text.as_bytes()));
        }
    }

    #[test]
    fn a_window_has_the_signed_content_and_a_changed_window_is_invalid(
        sids in vec(identifiers(), 0..6), users in prop::collection::btree_map(identifiers(), times(), 0..6),
        (iat, epoch) in (0..=UnixTime::MAX.seconds() - 3600, times()), lifetime in 1..=jwt::FEED_LIFETIME,
        (from, length, last_iat, last_exp) in (0..1_u64 << 52, 0..1_u64 << 52, times(), times()),
        is_renamed: bool, at: prop::sample::Index, byte: u8,
    ) {
        let iat = UnixTime::from_seconds(iat).unwrap();
        let policy = policy();
        let names: Vec<u64> = sids.iter().map(jwt::fingerprint).collect();
        let bytes: Vec<u8> = names.iter().flat_map(|name| name.to_be_bytes()).collect();
        let window = Window {
            iss: policy.issuer.clone(), aud: policy.audience.clone(), iat, exp: iat.plus(lifetime), epoch, users,
            from, to: from + length, last_iat, last_exp, sids_sha256: Window::digest(&bytes),
        };
        let document = document_of(&window, &bytes);
        let token = core::str::from_utf8(document.split(|&byte| byte == b'\n').next().unwrap()).unwrap();
        let document = if is_renamed { Window::document(renamed(token), &bytes) } else { document };
        let held = Window::verify(&document, &public(), &policy, iat).unwrap();
        prop_assert_eq!(held, (window.clone(), names));
        let token = core::str::from_utf8(document.split(|&byte| byte == b'\n').next().unwrap()).unwrap();
        prop_assert!(jwt::verify(token.as_bytes(), &public(), &policy, iat).is_err());

        let mut changed = document.clone();
        let index = at.index(document.len());
        changed[index] = byte;
        prop_assert!(changed == document || Window::verify(&changed, &public(), &policy, iat).is_err());
        prop_assert!(Window::verify(&document[..index], &public(), &policy, iat).is_err(), "truncated");
        for other in respelled(token) {
            let other = Window::document(other, &bytes);
            prop_assert!(other == document || Window::verify(&other, &public(), &policy, iat).is_err());
        }
    }

    #[test]
    fn a_verifier_revokes_what_its_windows_name_in_any_order_and_number_of_repeats(
        named in vec((identifiers(), 0..200_i64), 1..20), order in vec(any::<prop::sample::Index>(), 1..40), claims in claim_sets(),
    ) {
        // The issuer reads the feed each second; one session is revoked before each reading.
        let policy = policy();
        let time = |offset: i64| UnixTime::from_seconds(NOW + offset).unwrap();
        let windows: Vec<(Window, Vec<u64>)> = named.iter().enumerate().map(|(number, (sid, age))| {
            let number = u64::try_from(number).unwrap();
            let name = jwt::fingerprint(sid);
            let window = Window {
                iss: policy.issuer.clone(), aud: policy.audience.clone(), iat: time(200), exp: time(500), epoch: UnixTime::MIN,
                users: [].into(), from: number, to: number + 1, last_iat: time(*age), last_exp: time(3600),
                sids_sha256: Window::digest(&name.to_be_bytes()),
            };
            (window, vec![name])
        }).collect();
        let mut known = Revocations::default();
        let mut taken = 0;
        // A window is added if none before it is missing; then it may be repeated.
        for index in order.iter().map(|index| index.index(windows.len())).chain(0..windows.len()) {
            let (window, names) = windows[index].clone();
            prop_assert_eq!(known.add(window, names), if index <= taken { Ok(()) } else { Err(jwt::Error::Gap) });
            taken = taken.max(if index <= taken { index + 1 } else { 0 });
            prop_assert_eq!(known.position(), u64::try_from(taken).unwrap());
        }
        for (sid, age) in &named {
            let token = |iat: UnixTime| Claims { sid: sid.clone(), iat, ..claims.clone() };
            prop_assert!(known.revokes(&token(time(*age))));
            // A refreshed token of another session with the same fingerprint.
            prop_assert!(!known.revokes(&token(time(200))));
        }
    }

    #[test]
    fn a_set_of_keys_is_the_same_in_any_order_and_a_changed_one_is_refused_or_the_same(by: usize, seed: [u8; 32], at: prop::sample::Index, byte: u8) {
        let other = ed25519_dalek::SigningKey::from_bytes(&seed);
        let x = Base64UrlUnpadded::encode_string(other.verifying_key().as_bytes());
        let members = |kid: &str| [
            ("kty", json!("OKP").to_string()), ("crv", json!("Ed25519").to_string()), ("x", json!(x).to_string()),
            ("kid", json!(kid).to_string()), ("alg", json!("EdDSA").to_string()), ("use", json!("sig").to_string()),
        ];
        let thumbprint = {
            use sha2::{Digest, Sha256};
            Base64UrlUnpadded::encode_string(&Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
        };
        let set = |by: usize| format!("{{\"keys\":[{}]}}", rotated(&members(&thumbprint), by));
        let keys = KeySet::from_jwks(set(0).as_bytes()).unwrap();
        prop_assert_eq!(KeySet::from_jwks(set(by).as_bytes()).unwrap().to_jwks(), keys.to_jwks());
        prop_assert_eq!(KeySet::from_jwks(keys.to_jwks().as_bytes()).unwrap().to_jwks(), keys.to_jwks());
        let mut bytes = set(by).into_bytes();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        if let Ok(changed) = KeySet::from_jwks(&bytes) {
            prop_assert_eq!(changed.to_jwks(), keys.to_jwks());
        }
    }

    #[test]
    fn s6_a_refresh_token_names_its_session_and_a_changed_token_is_invalid(sid in identifiers(), refreshes: u32, at: prop::sample::Index, byte in 0_u8..128, secret: [u8; 32]) {
        let ours = RefreshKey::read(&Secret::new(REFRESH_SECRET.into())).unwrap();
        let token = RefreshToken { sid, refreshes };
        let text = ours.issue(&token);
        prop_assert_eq!(ours.accept(&Secret::new(text.clone())), Some(token));
        let mut changed = text.clone().into_bytes();
        let index = at.index(changed.len());
        changed[index] = byte;
        let changed = String::from_utf8(changed).unwrap();
        prop_assert!(changed == text || ours.accept(&Secret::new(changed)).is_none());
        prop_assert!(ours.accept(&Secret::new(text[..index].to_owned())).is_none());
        if let Some(theirs) = RefreshKey::read(&Secret::new(Base64UrlUnpadded::encode_string(&secret))) {
            prop_assert!(theirs.accept(&Secret::new(text)).is_none());
        }
    }

    #[test]
    fn s3_a_proof_has_the_signed_content_and_a_changed_proof_is_rejected(seed in 1_u8..=254, iat in -10_000_000_000_i64..10_000_000_000, at: prop::sample::Index, byte in 0_u8..128) {
        let key = BrowserKey::new(seed);
        let text = key.proof(iat);
        let url = "https://id.example/session/refresh";
        let proof = Proof::read(text.as_bytes(), "POST", url).unwrap();
        prop_assert_eq!(proof.thumbprint().as_str(), key.thumbprint());
        let app = test_app();
        let holds = |proof: &Proof<'_>| block_on(app.signer.verifies(&proof.key, proof.signed, &proof.signature));
        prop_assert_eq!(holds(&proof), Some(true));
        let mut changed = text.clone().into_bytes();
        let index = at.index(changed.len());
        changed[index] = byte;
        if changed != text.as_bytes() && let Some(other) = Proof::read(&changed, "POST", url) {
            prop_assert!(holds(&other) == Some(false));
        }
    }

    #[test]
    fn any_text_is_no_proof(text in prop_oneof![texts(), "[A-Za-z0-9_.-]{0,200}"], header in texts(), claims in texts()) {
        let url = "https://id.example/session/refresh";
        prop_assert!(Proof::read(text.as_bytes(), "POST", url).is_none());
        let text = [header, claims].map(|part| base64url(part.as_bytes())).join(".") + "." + &base64url(&[7; 64]);
        prop_assert!(Proof::read(text.as_bytes(), "POST", url).is_none());
    }

    #[test]
    fn any_text_is_no_refresh_token(text in prop_oneof![texts(), "[A-Za-z0-9_-]{0,200}"]) {
        let ours = RefreshKey::read(&Secret::new(REFRESH_SECRET.into())).unwrap();
        prop_assert!(ours.accept(&Secret::new(text)).is_none());
    }
}
