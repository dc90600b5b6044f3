//! Keys and sets of keys: JSON Web Keys ([RFC 7517]) for Ed25519 ([RFC 8037]), named by their
//! thumbprints ([RFC 7638]).
//!
//! [RFC 7517]: https://www.rfc-editor.org/rfc/rfc7517
//! [RFC 7638]: https://www.rfc-editor.org/rfc/rfc7638
//! [RFC 8037]: https://www.rfc-editor.org/rfc/rfc8037

use core::fmt;
use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::Signer as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Claims, Error, KeyError, Policy, cache::Cache, compact::Parts, ed25519::PublicKey, guessable,
    verify,
};
use crate::{json, secret::Secret, time::UnixTime};

/// The names of Ed25519 as a JWS algorithm: [RFC 8037]'s, which signs, and [RFC 9864]'s, which
/// replaces it. With an Ed25519 key, both mean the same signature.
///
/// [RFC 8037]: https://www.rfc-editor.org/rfc/rfc8037
/// [RFC 9864]: https://www.rfc-editor.org/rfc/rfc9864
const ALGORITHMS: [&str; 2] = ["EdDSA", "Ed25519"];

/// A public key, with the headers of its tokens and of its revocation feeds: one for each of
/// [`ALGORITHMS`], in base64url.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    jwk: PublicJwk,
    headers: [String; 2],
    feed_headers: [String; 2],
    /// All copies share the key and its tables.
    key: Arc<PublicKey>,
}

impl VerifyingKey {
    /// The key's RFC 7638 thumbprint: SHA-256 in base64url, 43 characters.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.jwk.kid
    }

    /// The public JWK ([RFC 7517]).
    ///
    /// [RFC 7517]: https://www.rfc-editor.org/rfc/rfc7517
    #[must_use]
    pub fn to_jwk(&self) -> String {
        // Strings always serialize.
        serde_json::to_string(&self.jwk).unwrap_or_default()
    }

    /// The header of the tokens that this key signs, in base64url.
    #[must_use]
    pub(super) const fn header(&self) -> &str {
        self.headers[0].as_str()
    }

    /// The header of the revocation feeds that this key signs, in base64url.
    #[must_use]
    pub(super) const fn feed_header(&self) -> &str {
        self.feed_headers[0].as_str()
    }

    /// The headers of the texts of another type that this key signs, in base64url. They are made
    /// for each request, because only the few requests of operators have them.
    pub(super) fn headers_of(&self, typ: &str) -> [String; 2] {
        headers(&self.jwk.kid, typ)
    }

    /// The payload of a token, if this key signed it. It does not take constant time, because
    /// everything here is public.
    pub(super) fn payload(&self, parts: &Parts<'_>) -> Result<Vec<u8>, Error> {
        let (payload, signature) = parts.decode()?;
        if self.key.verifies(parts.signed, &signature) {
            Ok(payload)
        } else {
            Err(Error::Signature)
        }
    }

    fn from_key(key: PublicKey) -> Self {
        let x = BASE64URL.encode(key.as_bytes());
        let kid = thumbprint(&x);
        let alg = ALGORITHMS[0];
        Self {
            headers: headers(&kid, "pi-session+jwt"),
            feed_headers: headers(&kid, "pi-revocations+jwt"),
            jwk: PublicJwk { kty: "OKP", crv: "Ed25519", x, kid, alg, usage: "sig" },
            key: Arc::new(key),
        }
    }
}

/// The headers of a key and a type, in base64url: one for each of [`ALGORITHMS`].
fn headers(kid: &str, typ: &str) -> [String; 2] {
    ALGORITHMS.map(|alg| {
        let header = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"{typ}"}}"#);
        BASE64URL.encode(header.as_bytes())
    })
}

/// A private key. It has no `Clone`, is wiped from memory when it is dropped, and its `Debug`
/// prints only the public half.
pub struct SigningKey {
    public: VerifyingKey,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// Signs in constant time and without randomness (RFC 8032 §5.1.6).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// The private key itself (RFC 8032 §5.1.5), for a platform that signs.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("kid", &self.public.kid())
            .finish_non_exhaustive()
    }
}

/// The public keys of a verifier.
#[derive(Clone, Debug)]
pub struct KeySet(Vec<VerifyingKey>);

impl KeySet {
    /// A rotation needs three. A larger set is not from this service, and would waste memory.
    pub const MAX_KEYS: usize = 100;

    /// Reads a JWKS ([RFC 7517] §5), as `/.well-known/jwks.json` serves it. It skips keys of other
    /// types, as §5 asks. One invalid Ed25519 key makes it reject the whole set.
    ///
    /// # Errors
    /// Any [`KeyError`] except [`KeyError::State`] and [`KeyError::NotOneActive`].
    ///
    /// [RFC 7517]: https://www.rfc-editor.org/rfc/rfc7517
    pub fn from_jwks(text: &[u8]) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for jwk in read_jwks(text)? {
            if jwk.is_private() {
                return Err(KeyError::Private);
            }
            if jwk.kty == "OKP" && jwk.crv.as_deref() == Some("Ed25519") {
                keys.push(jwk.public_key()?);
            }
        }
        Self::new(keys)
    }

    /// The JWKS document of these keys.
    #[must_use]
    pub fn to_jwks(&self) -> String {
        let jwks = PublicJwks { keys: self.0.iter().map(|key| &key.jwk).collect() };
        // Strings and arrays always serialize.
        serde_json::to_string(&jwks).unwrap_or_default()
    }

    /// The key whose tokens have this encoded header.
    pub(super) fn with_header(&self, header: &[u8]) -> Option<&VerifyingKey> {
        self.0.iter().find(|key| key.headers.iter().any(|known| known.as_bytes() == header))
    }

    /// Takes over the tables of keys that the old set has, too.
    pub fn inherit(&mut self, old: &Self) {
        for key in &mut self.0 {
            if let Some(known) = old.0.iter().find(|known| known.jwk.x == key.jwk.x) {
                key.key = Arc::clone(&known.key);
            }
        }
    }

    /// Prepares the tables of every key now, instead of after some use.
    pub fn warm(&self) {
        self.0.iter().for_each(|key| key.key.warm());
    }

    /// The key whose revocation feeds have this encoded header.
    pub(super) fn with_feed_header(&self, header: &[u8]) -> Option<&VerifyingKey> {
        self.0.iter().find(|key| key.feed_headers.iter().any(|known| known.as_bytes() == header))
    }

    /// The key whose texts of another type have this encoded header.
    pub(super) fn with_header_of(&self, typ: &str, header: &[u8]) -> Option<&VerifyingKey> {
        self.0.iter().find(|key| key.headers_of(typ).iter().any(|known| known.as_bytes() == header))
    }

    fn new(keys: Vec<VerifyingKey>) -> Result<Self, KeyError> {
        if keys.is_empty() { Err(KeyError::Empty) } else { Ok(Self(keys)) }
    }
}

/// The issuer's keys: one signs, and all verify. A key is published as `next` before it signs, and
/// stays as `retired` until the last of its tokens has expired.
#[derive(Debug)]
pub struct SigningKeys {
    active: SigningKey,
    all: KeySet,
    /// The state of each key, and since when it has had that.
    states: Vec<(&'static str, Option<UnixTime>)>,
    has_known: bool,
    cache: Cache,
}

/// The state of a key that is published before it signs.
const NEXT: &str = "next";

/// Public keys whose private half is printed in a standard: RFC 8032 §7.1 (the first is also RFC
/// 8037's), and RFC 9421 B.1.4. `pkg/cli/known-keys.mjs` has the same list for `doctor`, and a test
/// compares them.
const PUBLISHED: [&str; 6] = [
    "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
    "_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU",
    "J4EX_BRMcjQPZ9DyMW6Dhs7_vyskKMnFH-98WX8dQm4",
    "7Bcrk61eVjv0kyxw4SRQNMNUZ-8u_U1k6_gZaDRn4r8",
    "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs",
];

/// Whether a standard prints the private key.
fn is_published(key: &VerifyingKey) -> bool {
    PUBLISHED.contains(&key.jwk.x.as_str())
}

/// Whether others know the private key: a standard prints it, or anybody would guess its seed.
fn is_known(public: &VerifyingKey, private: Option<&SigningKey>) -> bool {
    is_published(public)
        || match private {
            Some(key) => guessable::seeds().any(|seed| seed == *key.expose()),
            None => guessable::is_guessable(public.key.as_bytes()),
        }
}

impl SigningKeys {
    /// Reads `{"keys":[…]}` of JWKs, each with `kid` (its thumbprint) and `state`. The active key
    /// needs its private half. The others are only published, so they may be without: the owner of
    /// a new key need not have the old one.
    ///
    /// # Errors
    /// Any [`KeyError`] except [`KeyError::Private`] and [`KeyError::NotNext`].
    pub fn from_jwks(text: &Secret) -> Result<Self, KeyError> {
        let (mut active, mut has_known) = (None, false);
        let (mut all, mut states) = (Vec::new(), Vec::new());
        for jwk in read_jwks(text.expose().as_bytes())? {
            let public = jwk.public_key()?;
            let private = jwk.d.is_some().then(|| jwk.signing_key()).transpose()?;
            has_known |= is_known(&public, private.as_ref());
            let state = match jwk.state.as_deref() {
                Some("active") if active.is_some() => return Err(KeyError::NotOneActive),
                Some("active") => {
                    active = Some(private.ok_or(KeyError::NoPrivateKey)?);
                    "active"
                }
                Some("next") => NEXT,
                Some("retired") => "retired",
                _ => return Err(KeyError::State),
            };
            all.push(public);
            states.push(state);
        }
        let all = KeySet::new(all)?;
        let active = active.ok_or(KeyError::NotOneActive)?;
        let states = states.into_iter().zip(since(text)).collect();
        Ok(Self { active, all, states, has_known, cache: Cache::default() })
    }

    /// Also publishes the keys of a second set, each in the state `next`. During a change of keys,
    /// a key may be in both sets.
    ///
    /// # Errors
    /// Any [`KeyError`] except [`KeyError::Private`], [`KeyError::State`] and
    /// [`KeyError::NotOneActive`].
    pub fn announce(&mut self, text: &Secret) -> Result<(), KeyError> {
        let jwks = read_jwks(text.expose().as_bytes())?;
        if jwks.is_empty() {
            return Err(KeyError::Empty);
        }
        for (jwk, since) in jwks.into_iter().zip(since(text)) {
            let public = jwk.public_key()?;
            let private = jwk.d.is_some().then(|| jwk.signing_key()).transpose()?;
            if jwk.state.as_deref() != Some(NEXT) {
                return Err(KeyError::NotNext);
            }
            self.has_known |= is_known(&public, private.as_ref());
            if !self.all.0.iter().any(|key| key.kid() == public.kid()) {
                self.all.0.push(public);
                self.states.push((NEXT, since));
            }
        }
        if self.all.0.len() > KeySet::MAX_KEYS { Err(KeyError::TooMany) } else { Ok(()) }
    }

    /// The key that signs.
    #[must_use]
    pub const fn active(&self) -> &SigningKey {
        &self.active
    }

    /// Whether others know one of the private keys, and could sign valid tokens with it.
    #[must_use]
    pub const fn has_known(&self) -> bool {
        self.has_known
    }

    /// The public halves of every state.
    #[must_use]
    pub const fn all(&self) -> &KeySet {
        &self.all
    }

    /// Every key with its state, and since when it has had that, if the set says so.
    pub fn states(&self) -> impl Iterator<Item = (&VerifyingKey, &'static str, Option<UnixTime>)> {
        let states = self.all.0.iter().zip(&self.states);
        states.map(|(key, (state, since))| (key, *state, *since))
    }

    /// Verifies a token as [`verify`] does, and caches it, because the issuer receives the same
    /// tokens many times.
    ///
    /// # Errors
    /// The first [`Error`] in the order of [`verify`].
    pub fn verify(&self, token: &[u8], policy: &Policy, now: UnixTime) -> Result<Claims, Error> {
        if let Some(claims) = self.cache.recall(token) {
            claims.check(policy, now)?;
            return Ok(claims);
        }
        let claims = verify(token, &self.all, policy, now)?.claims;
        self.cache.keep(token, &claims);
        Ok(claims)
    }
}

/// RFC 7638 §3: SHA-256 over the required members in lexical order; for OKP, RFC 8037 §2.
fn thumbprint(x: &str) -> String {
    let required = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64URL.encode(Sha256::digest(required.as_bytes()))
}

/// The member `since` of each key of a set that was read, which the command line writes. Only an
/// operator reads it, so any other value does no harm, and verifiers do not contain this.
fn since(text: &Secret) -> Vec<Option<UnixTime>> {
    let mut times = Vec::new();
    if let Ok(json::Value::Object(mut set)) = json::parse(text.expose().as_bytes())
        && let Some(json::Value::Array(keys)) = set.take("keys")
    {
        for key in keys {
            let json::Value::Object(mut key) = key else { continue };
            times.push(match key.take("since") {
                Some(json::Value::String(text)) => UnixTime::from_rfc3339(&text),
                _ => None,
            });
        }
    }
    times
}

fn read_jwks(text: &[u8]) -> Result<Vec<Jwk>, KeyError> {
    let jwks: Jwks = json::object(text).map_err(|_| KeyError::Malformed)?;
    if jwks.keys.len() > KeySet::MAX_KEYS {
        return Err(KeyError::TooMany);
    }
    // Also among keys of other types: duplicate names could mislead a caller.
    let mut kids = BTreeSet::new();
    if jwks.keys.iter().filter_map(|key| key.kid.as_deref()).any(|kid| !kids.insert(kid)) {
        return Err(KeyError::DuplicateKeyId);
    }
    Ok(jwks.keys)
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

/// A JWK as it arrives. The private members of every key type are listed, so that a public set with
/// one is rejected.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    x: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    state: Option<String>,
    d: Option<Secret>,
    k: Option<Secret>,
    p: Option<Secret>,
    q: Option<Secret>,
}

impl Jwk {
    const fn is_private(&self) -> bool {
        self.d.is_some() || self.k.is_some() || self.p.is_some() || self.q.is_some()
    }

    fn public_key(&self) -> Result<VerifyingKey, KeyError> {
        let fits = |member: &Option<String>, values: &[&str]| {
            member.as_deref().is_none_or(|value| values.contains(&value))
        };
        // RFC 7517 §4.3: a public key verifies. A private key signs, and may verify.
        let is_private = self.is_private();
        let has_operation = self.key_ops.as_ref().is_none_or(|operations| {
            operations.iter().any(|name| name == "verify" || (is_private && name == "sign"))
        });
        if self.kty != "OKP"
            || self.crv.as_deref() != Some("Ed25519")
            || !fits(&self.alg, &ALGORITHMS)
            || !fits(&self.usage, &["sig"])
            || !has_operation
        {
            return Err(KeyError::NotEd25519);
        }
        let bytes = self.x.as_deref().and_then(|x| BASE64URL.decode(x).ok());
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(KeyError::Unsound)?;
        let key = VerifyingKey::from_key(PublicKey::new(&bytes).ok_or(KeyError::Unsound)?);
        if self.kid.as_deref() != Some(key.kid()) {
            return Err(KeyError::WrongKeyId);
        }
        Ok(key)
    }

    fn signing_key(&self) -> Result<SigningKey, KeyError> {
        let public = self.public_key()?;
        let seed = self.d.as_ref().and_then(|d| decode_secret(d.expose()));
        let seed = seed.ok_or(KeyError::Unsound)?;
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        if key.verifying_key().as_bytes() != public.key.as_bytes() {
            return Err(KeyError::Unsound);
        }
        Ok(SigningKey { public, key })
    }
}

/// The 32 bytes of a secret from base64url without padding, in constant time.
fn decode_secret(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let decoded = Base64UrlUnpadded::decode(text, &mut bytes).ok()?;
    (decoded.len() == 32).then_some(bytes)
}

#[derive(Serialize)]
struct PublicJwks<'a> {
    keys: Vec<&'a PublicJwk>,
}

#[derive(Clone, Debug, Serialize)]
struct PublicJwk {
    kty: &'static str,
    crv: &'static str,
    x: String,
    kid: String,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
}
