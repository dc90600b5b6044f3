//! The common part of all endpoints: the form of a request, and the checks of an answer.

use http::{Method, Request, Response, StatusCode, header};
use serde::de::DeserializeOwned;

use super::{Deadline, Error};
use crate::json;

/// A request with these headers and nothing from the caller's request. A POST without a body has no
/// content type: Pi answered 500 to a request that announced JSON and had no body.
pub(super) fn request(
    method: Method,
    url: String,
    authorization: &str,
    body: Option<Vec<u8>>,
    deadline: Deadline,
) -> Result<Request<Vec<u8>>, Error> {
    let mut request = Request::builder()
        .extension(deadline)
        .method(method)
        .uri(url)
        .header(header::AUTHORIZATION, authorization)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, concat!("pioneer-session/", env!("CARGO_PKG_VERSION")));
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request
        .body(body.unwrap_or_default())
        // This cannot fail: the base was parsed from the settings, and ids and credentials have
        // safe alphabets.
        .map_err(|_| Error::Unreadable("the request could not be made"))
}

/// The meaning of a status that is not specific to the endpoint.
pub(super) fn other(response: &Response<Vec<u8>>) -> Error {
    match response.status() {
        status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
            Error::Unavailable { retry_after: retry_after(response) }
        }
        status if status.is_redirection() => Error::Unreadable("a redirect"),
        _ => Error::Unreadable("an unexpected status"),
    }
}

/// Reads the JSON object of an endpoint: (1) the content type, because proxies send error pages
/// with status 200, too; (2) the text. `shape` names the expected object.
pub(super) fn read<T: DeserializeOwned>(
    response: &Response<Vec<u8>>,
    shape: &'static str,
) -> Result<T, Error> {
    // (1)
    if !is_json(response) {
        return Err(Error::Unreadable("not application/json"));
    }
    // (2)
    json::object(text(response).as_bytes()).map_err(|error| {
        Error::Unreadable(match error {
            json::Error::Malformed => "malformed JSON",
            json::Error::Duplicate => "a member occurs twice",
            json::Error::Shape => shape,
        })
    })
}

/// The text of an answer, with U+FFFD for everything that is not Unicode: bytes that are not UTF-8,
/// and escapes of half a surrogate pair, as a server writes them that has cut a name in two.
/// Parsers reject a whole text because of them, but they occur only in texts of people (names,
/// memos, an app's metadata of a payment), which decide nothing. Every text that decides is ASCII,
/// so no malformed one becomes well-formed.
pub(super) fn text(response: &Response<Vec<u8>>) -> String {
    let mut text = response.body().clone();
    let mut at = 0;
    while let Some(escape) = text.get(at..) {
        at += match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (Some(true), Some(false)) => 12,
            (Some(_), _) => {
                if let Some(digits) = text.get_mut(at + 2..at + 6) {
                    digits.copy_from_slice(b"fffd");
                }
                6
            }
            // An escaped backslash does not begin an escape.
            _ if escape.starts_with(b"\\") => 2,
            _ => 1,
        };
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Whether the text begins with the escape of half a surrogate pair: `true` for a first half.
fn surrogate(text: &[u8]) -> Option<bool> {
    match text {
        [b'\\', b'u', b'd' | b'D', digit, _, _, ..] => match digit {
            b'8' | b'9' | b'a' | b'b' | b'A' | b'B' => Some(true),
            b'c'..=b'f' | b'C'..=b'F' => Some(false),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn is_json(response: &Response<Vec<u8>>) -> bool {
    let content_type =
        response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut parts =
        content_type.unwrap_or_default().split(';').map(|part| part.trim().to_ascii_lowercase());
    let media_type = parts.next().unwrap_or_default();
    let is_json = media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    is_json
        && parts.all(|parameter| !parameter.starts_with("charset=") || parameter.contains("utf-8"))
}

/// Seconds to wait. A client is asked to wait at most an hour.
fn retry_after(response: &Response<Vec<u8>>) -> Option<u32> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse::<u32>().ok().map(|seconds| seconds.clamp(1, 3600))
}
