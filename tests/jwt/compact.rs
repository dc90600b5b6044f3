//! The text of a token: its parts, its spelling and its length.

use super::*;

#[test]
fn t9_every_single_bit_counts() {
    for token in tokens().map(String::into_bytes) {
        let token = &token;
        std::thread::scope(|threads| {
            for bit in 0..8 {
                threads.spawn(move || {
                    for at in 0..token.len() {
                        let mut flipped = token.clone();
                        flipped[at] ^= 1 << bit;
                        assert!(verify_at(&flipped, NOW).is_err(), "byte {at}, bit {bit}");
                    }
                });
            }
        });
        assert_eq!(verify_at(token, NOW), Ok(()));
    }
}

#[test]
fn t9_a_token_has_one_spelling() {
    for header in headers() {
        let token = signed(&header, payload());
        let duplicates = respelled(&token, 4);
        assert_eq!(duplicates.len(), 15);
        for duplicate in duplicates {
            refused(duplicate, Error::Malformed);
        }
        // Stray bits at the end of the payload, with a correct signature.
        for length in 1..3 {
            let payload = format!("{}{}", payload(), " ".repeat(length));
            let spare = match payload.len() % 3 {
                1 => 4,
                2 => 2,
                _ => continue,
            };
            for duplicate in respelled(&b64(&payload), spare) {
                let signed = format!("{}.{duplicate}", b64(&header));
                let signature = b64(dalek().sign(signed.as_bytes()).to_bytes());
                refused(format!("{signed}.{signature}"), Error::Malformed);
            }
        }
    }
}

#[test]
fn t9_other_alphabets_padding_and_spaces_are_rejected() {
    for token in tokens() {
        let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
        for odd in ["=", "==", "\n", " ", "\0", "\r\n", "\t", "é", "\u{200b}"] {
            refused(format!("{token}{odd}"), Error::Malformed);
            refused(format!("{head}{odd}.{body}.{signature}"), Error::UnknownKey);
            refused(format!("{odd}{token}"), Error::UnknownKey);
            // The signature is correct, so only the spelling is wrong.
            for at in [0, body.len() / 2, body.len()] {
                let signed = format!("{head}.{}{odd}{}", &body[..at], &body[at..]);
                let signature = b64(dalek().sign(signed.as_bytes()).to_bytes());
                refused(format!("{signed}.{signature}"), Error::Malformed);
            }
            // The same number of characters instead of the signature.
            let cut = &signature[..86 - odd.len()];
            refused(format!("{head}.{body}.{cut}{odd}"), Error::Malformed);
            refused(format!("{head}.{body}.{odd}{cut}"), Error::Malformed);
        }
        let mut body = b64(payload());
        while body.len() % 4 != 1 {
            body.push('A');
        }
        let signed = format!("{head}.{body}");
        let signature = b64(dalek().sign(signed.as_bytes()).to_bytes());
        refused(format!("{signed}.{signature}"), Error::Malformed);
        for other in ["+", "/"] {
            let standard = format!("{}{other}", &token[..token.len() - 1]);
            refused(standard, Error::Malformed);
        }
    }
}

#[test]
fn t10_three_parts_exactly() {
    for token in tokens() {
        let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
        for malformed in [
            "",
            ".",
            "..",
            "...",
            head,
            signature,
            &format!("{head}.{body}"),
            &format!("{token}."),
            &format!("{token}.{signature}"),
            &format!("{head}..{signature}"),
            &format!("{head}.{body}."),
            &format!("{head}.{body}..{signature}"),
            &format!("{token}\""),
            &format!("'{token}'"),
            &format!("{token},"),
            &format!("{head}.{body}.AA.{signature}"),
            &format!("{head}.{body}.{body}.AA.{signature}"),
        ] {
            refused(malformed, Error::Malformed);
        }
        for unknown in [
            &format!(".{token}"),
            &format!(".{body}.{signature}"),
            &format!("Bearer {token}"),
            &format!("\"{token}"),
            &format!(" {token}"),
        ] {
            refused(unknown, Error::UnknownKey);
        }
        refused(format!("{token},{token}"), Error::Malformed);
        let json =
            format!(r#"{{"protected":"{head}","payload":"{body}","signature":"{signature}"}}"#);
        refused(json, Error::Malformed);
    }
}

#[test]
fn t11_length_is_checked_before_all_else() {
    for length in [MAX_TOKEN_BYTES + 1, 64 << 10, 1 << 20, 16 << 20] {
        refused(vec![b'a'; length], Error::TooLong);
        refused(vec![b'.'; length], Error::TooLong);
    }
    refused(vec![b'a'; MAX_TOKEN_BYTES], Error::Malformed);
    // The longest token that fits, and the shortest that does not.
    let mut padding = String::new();
    let token = loop {
        let token = signed(header(), with("pad", format!("\"{padding}\"")));
        if token.len() + 2 > MAX_TOKEN_BYTES {
            break token;
        }
        padding.push('x');
    };
    assert!((MAX_TOKEN_BYTES - 1..=MAX_TOKEN_BYTES).contains(&token.len()));
    assert_eq!(verify_at(token, NOW), Ok(()));
    refused(signed(header(), with("pad", format!("\"{padding}xx\""))), Error::TooLong);
}

#[test]
fn t16_bytes_that_are_not_text_are_rejected() {
    refused([0xff; 300], Error::Malformed);
    refused([0; 300], Error::Malformed);
    refused("[object Object]", Error::Malformed);
    refused("null", Error::Malformed);
    let wide: Vec<u8> =
        signed(header(), payload()).encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(verify_at(wide, NOW).is_err());
}
