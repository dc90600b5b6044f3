//! The session token from outside: known answers of RFC 8037, and forgeries with correct
//! signatures.

mod claims;
mod compact;
mod conformance;
mod header;
mod key;
mod operator;
mod signature;

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{Signer, Verifier};
use pioneer_session::{
    identifier::Identifier,
    jwt::{
        self, Claims, Error, KeyError, KeySet, MAX_TOKEN_BYTES, OperatorClaims, Policy, PublicKey,
        Role, SigningKey, SigningKeys, Window,
    },
    secret::Secret,
    time::UnixTime,
};
use sha2::{Digest, Sha256, Sha512};

/// RFC 8037, A.1 to A.4.
const D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const KID: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
const A4_SIGNED: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
const A4_SIGNATURE: &str =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

const NOW: i64 = 1_760_000_000;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

fn unb64(text: &str) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(text).unwrap()
}

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(seconds).unwrap()
}

/// Signs as the issuer does without a native Ed25519.
fn sign(claims: &Claims, key: &SigningKey) -> Result<String, Error> {
    let input = jwt::signing_input(claims, key)?;
    let signature = key.sign(input.as_bytes());
    Ok(input.signed(&signature))
}

fn dalek() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&unb64(D).try_into().unwrap())
}

fn thumbprint(x: &str) -> String {
    b64(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

/// Another valid key.
fn other_key() -> (String, String, String) {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let x = b64(key.verifying_key().as_bytes());
    let kid = thumbprint(&x);
    (b64([7; 32]), x, kid)
}

fn public_jwks() -> String {
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{X}","kid":"{KID}"}}]}}"#)
}

fn keys() -> KeySet {
    KeySet::from_jwks(public_jwks().as_bytes()).unwrap()
}

fn private(d: &str, x: &str, kid: &str, state: &str) -> String {
    format!(
        r#"{{"kty":"OKP","crv":"Ed25519","d":"{d}","x":"{x}","kid":"{kid}","state":"{state}"}}"#
    )
}

fn signing_keys(jwks: &[String]) -> Result<SigningKeys, KeyError> {
    SigningKeys::from_jwks(&Secret::new(format!(r#"{{"keys":[{}]}}"#, jwks.join(","))))
}

fn policy() -> Policy {
    Policy {
        issuer: "https://id.example".into(),
        audience: "app".into(),
        clock_tolerance: Policy::DEFAULT_CLOCK_TOLERANCE,
    }
}

/// The header that the issuer writes.
fn header() -> String {
    format!(r#"{{"alg":"EdDSA","kid":"{KID}","typ":"pi-session+jwt"}}"#)
}

/// Every header that a verifier accepts. RFC 9864 renames the algorithm.
fn headers() -> [String; 2] {
    [header(), header().replace("EdDSA", "Ed25519")]
}

fn members() -> Vec<(&'static str, String)> {
    vec![
        ("iss", r#""https://id.example""#.into()),
        ("aud", r#""app""#.into()),
        ("sub", r#""uid-1""#.into()),
        ("sid", r#""sid-1""#.into()),
        ("iat", NOW.to_string()),
        ("exp", (NOW + 600).to_string()),
        ("auth_time", NOW.to_string()),
        ("jti", r#""jti-1""#.into()),
        ("scope", r#""payments username""#.into()),
        ("preferred_username", r#""alice""#.into()),
        ("app_bound", "true".into()),
    ]
}

fn written(members: &[(&str, String)]) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
    format!("{{{}}}", members.join(","))
}

fn payload() -> String {
    written(&members())
}

/// The base payload with one member replaced or added.
fn with(name: &'static str, value: impl Into<String>) -> String {
    let mut members = members();
    members.retain(|(other, _)| *other != name);
    members.push((name, value.into()));
    written(&members)
}

fn without(name: &str) -> String {
    let mut members = members();
    members.retain(|(other, _)| *other != name);
    written(&members)
}

/// A correctly signed token of any header and payload.
fn signed(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let signed = format!("{}.{}", b64(header), b64(payload));
    let signature = dalek().sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", b64(signature))
}

/// The same valid token with each header.
fn tokens() -> [String; 2] {
    headers().map(|header| signed(header, payload()))
}

fn verify_at(token: impl AsRef<[u8]>, now: i64) -> Result<(), Error> {
    jwt::verify(token.as_ref(), &keys(), &policy(), at(now)).map(drop)
}

#[track_caller]
fn refused(token: impl AsRef<[u8]>, error: Error) {
    let shown = String::from_utf8_lossy(token.as_ref()).chars().take(200).collect::<String>();
    assert_eq!(verify_at(&token, NOW), Err(error), "{shown}");
    for token in tokens() {
        assert_eq!(verify_at(token, NOW), Ok(()), "the next one works");
    }
}

/// The payload has a correct signature and a right header, and is rejected for its claims.
#[track_caller]
fn claims_refused(payload: impl AsRef<[u8]>, error: Error) {
    for header in headers() {
        refused(signed(header, &payload), error);
    }
}

/// The header has a correct signature, and is rejected with either name of the algorithm.
#[track_caller]
fn header_refused(header: impl AsRef<str>) {
    let header = header.as_ref();
    for header in [header, &header.replacen("EdDSA", "Ed25519", 1)] {
        refused(signed(header, payload()), Error::UnknownKey);
    }
}

fn claims() -> Claims {
    let id = |text: &str| Identifier::parse(text.into()).unwrap();
    Claims {
        iss: "https://id.example".into(),
        aud: "app".into(),
        sub: id("uid-1"),
        sid: id("sid-1"),
        iat: at(NOW),
        exp: at(NOW + 600),
        nbf: None,
        auth_time: at(NOW),
        jti: id("jti-1"),
        scope: "payments username".into(),
        preferred_username: Some("alice".into()),
        app_bound: true,
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The other spellings of a last character whose lower `spare` bits have no meaning.
fn respelled(text: &str, spare: u32) -> Vec<String> {
    let (stem, last) = text.split_at(text.len() - 1);
    let value = ALPHABET.iter().position(|&letter| letter == last.as_bytes()[0]).unwrap();
    let first = value >> spare << spare;
    let all = (first..first + (1 << spare)).filter(|&other| other != value);
    all.map(|other| format!("{stem}{}", char::from(ALPHABET[other]))).collect()
}
