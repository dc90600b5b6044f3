//! Signatures: known answers and public vectors.

use super::*;

#[test]
fn rfc_8037_known_answers() {
    let key = dalek();
    assert_eq!(b64(key.verifying_key().as_bytes()), X);
    assert_eq!(thumbprint(X), KID);
    assert_eq!(b64(key.sign(A4_SIGNED.as_bytes()).to_bytes()), A4_SIGNATURE);
    let signature = ed25519_dalek::Signature::from_bytes(&unb64(A4_SIGNATURE).try_into().unwrap());
    assert!(key.verifying_key().verify_strict(A4_SIGNED.as_bytes(), &signature).is_ok());
    // The key set accepts a `kid` only if it is the thumbprint, and returns the same document.
    let jwks: serde_json::Value = serde_json::from_str(&keys().to_jwks()).unwrap();
    assert_eq!(jwks["keys"][0]["kid"], KID);
    assert_eq!(jwks["keys"][0]["x"], X);
    let signing = signing_keys(&[private(D, X, KID, "active")]).unwrap();
    assert_eq!(signing.active().public().kid(), KID);
    // A.4 has a correct signature, with a header that is not the one of a session token.
    refused(format!("{A4_SIGNED}.{A4_SIGNATURE}"), Error::UnknownKey);
}

#[test]
fn e5_a_signed_token_verifies_and_is_always_the_same() {
    let signing = signing_keys(&[private(D, X, KID, "active")]).unwrap();
    let token = sign(&claims(), signing.active()).unwrap();
    assert_eq!(token, signed(header(), payload()), "the bytes are those of the contract");
    assert_eq!(sign(&claims(), signing.active()).unwrap(), token);
    let held = jwt::verify(token.as_bytes(), signing.all(), &policy(), at(NOW)).unwrap();
    assert_eq!(held.claims, claims());
    assert_eq!(held.payload, payload().into_bytes());

    let quiet = Claims { preferred_username: None, app_bound: false, ..claims() };
    let token = sign(&quiet, signing.active()).unwrap();
    assert!(
        !String::from_utf8(unb64(token.split('.').nth(1).unwrap())).unwrap().contains("preferred")
    );
    let held = jwt::verify(token.as_bytes(), signing.all(), &policy(), at(NOW)).unwrap();
    assert_eq!(held.claims, quiet);

    let long = Claims { scope: "x".repeat(4000), ..claims() };
    assert_eq!(sign(&long, signing.active()), Err(Error::TooLong));
    // A key does not print its private half either.
    let printed = format!("{signing:?}");
    assert!(!printed.contains(D) && !printed.contains("157, 97, 177"), "{printed}");
}

#[test]
fn e3_signatures_are_canonical() {
    for header in headers() {
        let signed = format!("{}.{}", b64(header), b64(payload()));
        let signature = dalek().sign(signed.as_bytes()).to_bytes();
        let token = |signature: &[u8]| format!("{signed}.{}", b64(signature));
        // S + L, the group's order.
        const L: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut more = signature;
        let mut carry = 0;
        for (byte, add) in more[32..].iter_mut().zip(L) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = u8::try_from(sum & 0xff).unwrap();
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
        refused(token(&more), Error::Signature);
        // R of small order: the neutral element, and its other spellings.
        for first in [[1, 0], [0, 0], [0, 0x80], [1, 0x80]] {
            let mut small = signature;
            small[..32].fill(0);
            (small[0], small[31]) = (first[0], first[1]);
            refused(token(&small), Error::Signature);
            small[32..].fill(0);
            refused(token(&small), Error::Signature);
        }
        refused(token(&[0xff; 64]), Error::Signature);
        refused(token(&signature[..63]), Error::Malformed);
        refused(token(&[&signature[..], &[0]].concat()), Error::Malformed);
        let swapped = [&signature[32..], &signature[..32]].concat();
        refused(token(&swapped), Error::Signature);
    }
}

#[test]
fn e3_a_valid_signature_with_r_of_small_order_is_rejected() {
    // R is the neutral element and S = k·a: the equation of RFC 8032 is true for any message.
    for header in headers() {
        let signed = format!("{}.{}", b64(header), b64(payload()));
        let key = dalek();
        let mut signature = [0; 64];
        signature[0] = 1;
        let public = key.verifying_key();
        let hashed = [&signature[..32], public.as_bytes(), signed.as_bytes()].concat();
        let a = key.to_scalar();
        let one = a * a.invert();
        let mut k = one - one;
        for byte in Sha512::digest(hashed).iter().rev() {
            for bit in (0..8).rev() {
                k = k + k;
                if byte >> bit & 1 == 1 {
                    k += one;
                }
            }
        }
        signature[32..].copy_from_slice((k * a).as_bytes());
        let lenient = ed25519_dalek::Signature::from_bytes(&signature);
        assert!(public.verify(signed.as_bytes(), &lenient).is_ok(), "others accept it");
        refused(format!("{signed}.{}", b64(signature)), Error::Signature);
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The verdicts on a signature: without tables and with them. They must agree.
fn verdict(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (key.try_into(), signature.try_into()) else { return false };
    let Some(plain) = PublicKey::new(key) else { return false };
    let warm = PublicKey::new(key).unwrap();
    warm.warm();
    let verdicts = [plain.verifies(message, signature), warm.verifies(message, signature)];
    assert_eq!(verdicts[0], verdicts[1], "the tables decide otherwise");
    verdicts[0]
}

#[test]
fn e1_wycheproof_agrees_in_every_vector() {
    let text = include_str!("../vectors/wycheproof_ed25519_test.json");
    let file: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut count = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let key = hex(group["publicKey"]["pk"].as_str().unwrap());
        for test in group["tests"].as_array().unwrap() {
            let [message, signature] = ["msg", "sig"].map(|name| hex(test[name].as_str().unwrap()));
            let expected = test["result"] == "valid";
            assert_eq!(verdict(&key, &message, &signature), expected, "{test}");
            count += 1;
        }
    }
    assert_eq!(count, 151);
}

#[test]
fn e2_of_the_odd_points_exactly_the_strict_set_is_accepted() {
    let text = include_str!("../vectors/cctv_ed25519vectors.json");
    let vectors: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    let mut accepted = 0;
    for vector in &vectors {
        let [key, signature] = ["key", "sig"].map(|name| hex(vector[name].as_str().unwrap()));
        let message = vector["msg"].as_str().unwrap().as_bytes();
        // Components of low order beside one of large order are valid arithmetic. Everything else
        // is rejected.
        let harmless = ["low_order_component_A", "low_order_component_R"];
        let flags = vector["flags"].as_array();
        let expected =
            flags.into_iter().flatten().all(|flag| harmless.contains(&flag.as_str().unwrap()));
        assert_eq!(verdict(&key, message, &signature), expected, "{vector}");
        accepted += u32::from(expected);
    }
    assert_eq!((vectors.len(), accepted), (914, 43));
}
