//! `GET /v2/me`: whose access token is this? Documented in `platform_API.md` and `SDK_reference.md` of
//! <https://github.com/pi-apps/pi-platform-docs>; `app_id` is not documented, but answered.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::Number;
use sha2::{Digest as _, Sha256};

use super::{Deadline, Error, answer};
use crate::{identifier::Identifier, json::Value, secret::Secret, time::UnixTime};

/// Pi's tokens are opaque; one of 35 characters has been seen. This leaves room for any JWT.
const MAX_TOKEN_BYTES: usize = 4096;

/// Pi's usernames are short. This one ends up in every session token, which has a size to keep.
const MAX_USERNAME_BYTES: usize = 128;

/// Six scopes of a dozen characters are known. They end up in every session token, which has a size to keep.
const MAX_SCOPES: usize = 32;
const MAX_SCOPE_BYTES: usize = 32;

/// An opaque token that Pi's frontend SDK, or Pi Sign-in, gave the app.
#[derive(Debug)]
pub struct AccessToken(Secret);

impl AccessToken {
    /// The token, if it has the shape of one: `b64token` of [RFC 6750] §2.1, at most 4096 bytes. Nothing
    /// else can be put into a header safely.
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

    /// Its SHA-256, in base64url: tells it from another without telling it.
    #[must_use]
    pub fn digest(&self) -> String {
        BASE64URL.encode(Sha256::digest(self.0.expose()))
    }
}

/// Who Pi says the token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The app's own id for this Pioneer. It is another one in every app, and the only key.
    pub uid: Identifier,
    /// For display. The same in every app, so never a key: an app of an attacker can have it, too. Absent also when Pi's
    /// cannot be shown.
    pub username: Option<String>,
    /// The scopes that the Pioneer granted; empty when Pi does not say.
    pub scopes: Vec<String>,
    /// Whether Pi named the user in a way that cannot be shown, or a scope that a token cannot hold. Neither refuses a
    /// sign-in.
    pub is_curtailed: bool,
    /// The app that the token was made for, when Pi says so.
    pub app_id: Option<String>,
}

/// The request. Three headers; nothing of the caller's request goes along.
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
    // (1) Only 200 is an answer. 401 comes with an empty body; 403 is not documented, but is a no.
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Error::Refused),
        _ => return Err(answer::other(response)),
    }
    // (2), (3) Unknown members are Pi's to add; twins are nobody's.
    let user: UserDto = answer::read(response, "not a UserDTO")?;
    let credentials = user.credentials.unwrap_or_default();
    // (4) The token may have run out between two clocks.
    if let Some(valid_until) = &credentials.valid_until {
        let until = whole_seconds(&valid_until.timestamp);
        if until.is_some_and(|seconds| seconds <= now.seconds()) {
            return Err(Error::Expired);
        }
        if until.and_then(UnixTime::from_seconds).is_none() {
            return Err(Error::Unreadable("valid_until is not a time"));
        }
    }
    // A name is for display: whatever Pi takes for one, its owner gets in.
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
        // Seen as a number, too. The text of an integer is compared like a string.
        Some(Value::Unsigned(number)) => Some(number.to_string()),
        Some(_) => return Err(Error::Unreadable("app_id is neither text nor an integer")),
    };
    Ok(User { uid: user.uid, username, scopes, is_curtailed, app_id })
}

/// U+FFFD stands for a part of the name that was no text ([`answer::text`]).
fn is_shown(name: &str) -> bool {
    let odd = |character: char| character.is_control() || character == char::REPLACEMENT_CHARACTER;
    name.len() <= MAX_USERNAME_BYTES && !name.chars().any(odd)
}

/// The number in whole seconds: an integer, or the integer part of a fraction within exact range.
fn whole_seconds(number: &Number) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the guard keeps it within i64")]
    let truncated = |float: f64| (float.abs() < 1e15).then_some(float as i64);
    number.as_i64().or_else(|| number.as_f64().and_then(truncated))
}

/// `scope-token` of RFC 6749 §3.3, short: it is joined with spaces into the session token.
fn is_scope(scope: &str) -> bool {
    (1..=MAX_SCOPE_BYTES).contains(&scope.len())
        && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// Pi's name for it. Everything but `uid` may be missing.
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

/// `timestamp` is seconds since 1970; `iso8601` says the same and is not read.
#[derive(Deserialize)]
struct ValidUntilDto {
    timestamp: Number,
}
