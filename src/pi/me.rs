//! `GET /v2/me`: the user of an access token. Documented in `platform_API.md` and
//! `SDK_reference.md` of <https://github.com/pi-apps/pi-platform-docs>. `app_id` is not documented,
//! but Pi sends it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::Number;
use sha2::{Digest as _, Sha256};

use super::{Deadline, Error, answer};
use crate::{identifier::Identifier, json::Value, secret::Secret, time::UnixTime};

/// Pi's tokens are opaque; one of 35 characters has been seen. This leaves room for any JWT.
const MAX_TOKEN_BYTES: usize = 4096;

/// Pi's usernames are short. The name is in every session token, whose size is limited.
const MAX_USERNAME_BYTES: usize = 128;

/// Six scopes of a dozen characters are known. They are in every session token, whose size is
/// limited.
const MAX_SCOPES: usize = 32;
const MAX_SCOPE_BYTES: usize = 32;

/// An opaque token that the app got from Pi's frontend SDK or from Pi Sign-in.
#[derive(Debug)]
pub struct AccessToken(Secret);

impl AccessToken {
    /// The token, if the text has the form of one: `b64token` of [RFC 6750] §2.1, at most 4096
    /// bytes. Nothing else is safe in a header.
    ///
    /// [RFC 6750]: https://www.rfc-editor.org/rfc/rfc6750
    #[must_use]
    pub fn parse(text: Secret) -> Option<Self> {
        let token = text.expose();
        let body = token.trim_end_matches('=');
        let fits = !body.is_empty()
            && token.len() <= MAX_TOKEN_BYTES
            && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
        fits.then_some(Self(text))
    }

    /// The SHA-256 of the token in base64url. It distinguishes tokens without revealing them.
    #[must_use]
    pub fn digest(&self) -> String {
        BASE64URL.encode(Sha256::digest(self.0.expose()))
    }
}

/// The user of an access token, as Pi reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The app's own id for this Pioneer. It differs from app to app, and is the only key.
    pub uid: Identifier,
    /// For display. The name is the same in every app, so it is never a key: an attacker's app can
    /// have it, too. It is also absent if Pi's name cannot be shown.
    pub username: Option<String>,
    /// The scopes that the Pioneer granted; empty if Pi does not list them.
    pub scopes: Vec<String>,
    /// Whether Pi sent a name that cannot be shown, or a scope that does not fit a token. The
    /// sign-in succeeds nevertheless.
    pub is_curtailed: bool,
    /// The app for which the token was issued, if Pi names it.
    pub app_id: Option<String>,
}

/// The request. It has three headers, and nothing from the caller's request.
pub(super) fn request(base: &str, token: &AccessToken) -> Result<Request<Vec<u8>>, Error> {
    answer::request(
        Method::GET,
        format!("{base}/v2/me"),
        &format!("Bearer {}", token.0.expose()),
        None,
        Deadline::LONG,
    )
}

/// Reads the answer: (1) the status, (2) the content type, (3) the UserDTO, (4) `valid_until`.
pub(super) fn response(response: &Response<Vec<u8>>, now: UnixTime) -> Result<User, Error> {
    // (1) Only 200 is an answer. 401 comes with an empty body. 403 is not documented, but is a
    // refusal.
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Error::Refused),
        _ => return Err(answer::other(response)),
    }
    // (2), (3) Pi may add unknown members. Duplicate members are an error.
    let user: UserDto = answer::read(response, "not a UserDTO")?;
    let credentials = user.credentials.unwrap_or_default();
    // (4) The token may have expired meanwhile.
    if let Some(valid_until) = &credentials.valid_until {
        let until = whole_seconds(&valid_until.timestamp);
        if until.is_some_and(|seconds| seconds <= now.seconds()) {
            return Err(Error::Expired);
        }
        if until.and_then(UnixTime::from_seconds).is_none() {
            return Err(Error::Unreadable("valid_until is not a time"));
        }
    }
    // A name is only for display, so the user can sign in whatever Pi sends.
    let is_named = !matches!(user.username, None | Some(Value::Null));
    let username = match user.username {
        Some(Value::String(name)) if is_shown(&name) => Some(name),
        _ => None,
    };
    let count = credentials.scopes.len();
    let scopes = credentials.scopes.into_iter().filter(|scope| is_scope(scope)).take(MAX_SCOPES);
    let scopes: Vec<String> = scopes.collect();
    let is_curtailed = (is_named && username.is_none()) || scopes.len() < count;
    let app_id = match user.app_id {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        // Pi has sent a number, too. The text of an integer is compared like a string.
        Some(Value::Unsigned(number)) => Some(number.to_string()),
        Some(_) => return Err(Error::Unreadable("app_id is neither text nor an integer")),
    };
    Ok(User { uid: user.uid, username, scopes, is_curtailed, app_id })
}

/// U+FFFD stands for a part of the name that was not text ([`answer::text`]).
fn is_shown(name: &str) -> bool {
    let odd = |character: char| character.is_control() || character == char::REPLACEMENT_CHARACTER;
    name.len() <= MAX_USERNAME_BYTES && !name.chars().any(odd)
}

/// The number in whole seconds: an integer, or the integer part of a fraction, within the exact
/// range.
fn whole_seconds(number: &Number) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the guard keeps it within i64")]
    let truncated = |float: f64| (float.abs() < 1e15).then_some(float as i64);
    number.as_i64().or_else(|| number.as_f64().and_then(truncated))
}

/// A short `scope-token` of RFC 6749 §3.3: the session token joins the scopes with spaces.
fn is_scope(scope: &str) -> bool {
    (1..=MAX_SCOPE_BYTES).contains(&scope.len())
        && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// Pi's name of the object. Every member except `uid` may be missing.
#[derive(Deserialize)]
struct UserDto {
    uid: Identifier,
    username: Option<Value>,
    credentials: Option<CredentialsDto>,
    app_id: Option<Value>,
}

#[derive(Deserialize, Default)]
struct CredentialsDto {
    #[serde(default)]
    scopes: Vec<String>,
    valid_until: Option<ValidUntilDto>,
}

/// `timestamp` is seconds since 1970. `iso8601` is the same time, and is not read.
#[derive(Deserialize)]
struct ValidUntilDto {
    timestamp: Number,
}
