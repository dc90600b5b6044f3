//! DPoP proofs ([RFC 9449]): with a proof, a client shows that it has the private key of its
//! refresh token.
//!
//! A proof is a JWT that the key in its header signs with ES256 ([RFC 7518] §3.4). This file checks
//! its method, URL and time. The platform checks the signature, and the store accepts each proof
//! only once.
//!
//! [RFC 9449]: https://www.rfc-editor.org/rfc/rfc9449
//! [RFC 7518]: https://www.rfc-editor.org/rfc/rfc7518

use core::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::{
    identifier::Identifier,
    json::{self, Object, Value},
    secret::Secret,
    time::UnixTime,
};

/// Seconds for which a proof or a nonce may be used. On a slow network, an answer with the issuer's
/// time takes ten seconds, and the proof ten more.
pub const FRESH_SECONDS: u32 = 60;

/// Seconds by which a proof may be ahead of the issuer's time. Times are whole seconds, and the
/// clocks of two of the issuer's machines may differ.
const AHEAD_SECONDS: u32 = 10;

/// A proof has about 400 bytes.
const MAX_PROOF_BYTES: usize = 1024;

/// A UUID has 36 characters. 64 leave room for any other random value.
const MAX_ID_CHARACTERS: usize = 64;

/// An uncompressed point (SEC 1 §2.3.3): 4, then two coordinates of 32 bytes.
pub type PublicKey = [u8; 65];

/// A proof with the right form. Nothing in it is proven until the platform has checked its
/// signature.
pub struct Proof<'a> {
    /// The key that claims to have signed.
    pub key: PublicKey,
    /// The signed text.
    pub signed: &'a [u8],
    /// The signature: r and s, with 32 bytes each.
    pub signature: [u8; 64],
    /// A value for one use only.
    pub jti: Identifier,
    thumbprint: Identifier,
    issued_at: i64,
    nonce: Option<String>,
}

impl<'a> Proof<'a> {
    /// Reads a proof for this method and URL.
    #[must_use]
    pub fn read(proof: &'a [u8], method: &str, url: &str) -> Option<Self> {
        if proof.len() > MAX_PROOF_BYTES {
            return None;
        }
        let last_dot = proof.iter().rposition(|&byte| byte == b'.')?;
        let (signed, signature) = proof.split_at_checked(last_dot)?;
        let first_dot = signed.iter().position(|&byte| byte == b'.')?;
        let (header, claims) = signed.split_at_checked(first_dot)?;
        let decode = |text| BASE64URL.decode(text).ok();
        // Two of the parts still begin with a dot.
        let signature = decode(signature.get(1..)?)?.try_into().ok()?;
        let mut header = object(&decode(header)?)?;
        let mut claims = object(&decode(claims.get(1..)?)?)?;
        let Some(Value::Object(mut jwk)) = header.take("jwk") else { return None };
        let is_proof = is(&mut header, "typ", "dpop+jwt") && is(&mut header, "alg", "ES256");
        let is_ours = is(&mut claims, "htm", method) && is(&mut claims, "htu", url);
        let is_p256 = is(&mut jwk, "kty", "EC") && is(&mut jwk, "crv", "P-256");
        // `d` makes a key private, and a private key must never be sent. There are no extensions
        // that a verifier must understand (RFC 7515 §4.1.11). Other members are ignored.
        let is_plain = jwk.take("d").is_none() && header.take("crit").is_none();
        let jti = Identifier::parse(text(&mut claims, "jti")?)?;
        if !(is_proof && is_ours && is_p256 && is_plain && jti.as_str().len() <= MAX_ID_CHARACTERS)
        {
            return None;
        }
        let issued_at = match claims.take("iat")? {
            Value::Unsigned(seconds) => i64::try_from(seconds).ok()?,
            Value::Signed(seconds) => seconds,
            _ => return None,
        };
        let nonce = match claims.take("nonce") {
            None => None,
            Some(Value::String(nonce)) => Some(nonce),
            Some(_) => return None,
        };
        let (x, y) = (text(&mut jwk, "x")?, text(&mut jwk, "y")?);
        let (key, thumbprint) = (point(&x, &y)?, thumbprint(&x, &y)?);
        Some(Self { key, signed, signature, jti, thumbprint, issued_at, nonce })
    }

    /// The SHA-256 thumbprint of the key ([RFC 7638]), which is its name.
    ///
    /// [RFC 7638]: https://www.rfc-editor.org/rfc/rfc7638
    #[must_use]
    pub const fn thumbprint(&self) -> &Identifier {
        &self.thumbprint
    }

    /// Whether the proof was made just now: by the issuer's time, or for a nonce of the issuer. A
    /// device whose clock is wrong needs the nonce.
    #[must_use]
    pub fn is_fresh(&self, nonces: &NonceKey, now: UnixTime) -> bool {
        let age = |since: i64| now.seconds().saturating_sub(since);
        let is_recent =
            |age: i64| (-i64::from(AHEAD_SECONDS)..=i64::from(FRESH_SECONDS)).contains(&age);
        match &self.nonce {
            Some(nonce) => nonces.accept(nonce).is_some_and(|made_at| is_recent(age(made_at))),
            None => is_recent(age(self.issued_at)),
        }
    }
}

fn object(text: &[u8]) -> Option<Object> {
    match json::parse(text) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

fn text(object: &mut Object, member: &str) -> Option<String> {
    match object.take(member) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn is(object: &mut Object, member: &str, expected: &str) -> bool {
    text(object, member).is_some_and(|text| text == expected)
}

/// Each coordinate has its full length (RFC 7518 §6.2.1.2), so a key has only one spelling.
fn point(x: &str, y: &str) -> Option<PublicKey> {
    let [x, y] = [x, y].map(|text| BASE64URL.decode(text).ok());
    let (x, y) = (x?, y?);
    let bytes = [&[4], x.as_slice(), y.as_slice()].concat();
    if x.len() == y.len() { bytes.try_into().ok() } else { None }
}

fn thumbprint(x: &str, y: &str) -> Option<Identifier> {
    // The required members, in this order and without spaces. Base64url needs no escapes.
    let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Identifier::parse(BASE64URL.encode(Sha256::digest(members)))
}

/// Whether the text has the form of a thumbprint: 32 bytes in base64url.
#[must_use]
pub fn is_thumbprint(text: &Identifier) -> bool {
    BASE64URL.decode(text.as_str()).is_ok_and(|bytes| bytes.len() == 32)
}

/// Separates these codes from others that derive from the same secret.
const PURPOSE: &[u8] = b"pioneer-session DPoP nonce\n";

/// The key from which nonces derive (RFC 9449 §8). A nonce is its time and an HMAC-SHA-256 of it,
/// so none is stored. `Debug` prints nothing of the key.
#[derive(Clone)]
pub struct NonceKey(Hmac<Sha256>);

impl NonceKey {
    /// Derives the key from this secret.
    #[must_use]
    pub fn new(secret: &Secret) -> Option<Self> {
        Hmac::new_from_slice(secret.expose().as_bytes()).ok().map(Self)
    }

    /// A nonce for this time.
    #[must_use]
    pub fn issue(&self, now: UnixTime) -> String {
        let time = now.seconds().to_be_bytes();
        BASE64URL.encode([time.as_slice(), &self.code(time).finalize().into_bytes()].concat())
    }

    /// The time of the nonce, if this key made it.
    fn accept(&self, nonce: &str) -> Option<i64> {
        let bytes = BASE64URL.decode(nonce).ok()?;
        let (time, code) = bytes.split_first_chunk::<8>()?;
        self.code(*time).verify_slice(code).ok()?;
        Some(i64::from_be_bytes(*time))
    }

    fn code(&self, time: [u8; 8]) -> Hmac<Sha256> {
        let mut code = self.0.clone();
        code.update(PURPOSE);
        code.update(&time);
        code
    }
}

impl fmt::Debug for NonceKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}
