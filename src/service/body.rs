//! Reads the body of a request: JSON or a form, with a size limit and without duplicate names.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Request, header};
use serde::de::DeserializeOwned;

use super::error::Error;
use crate::json;

/// The limit of most routes: an access token may have 4 KiB, and Pi's whole AuthResult fits beside
/// it.
pub(super) const MAX_BYTES: usize = 16 * 1024;

/// An extension of a request whose body did not arrive in time. The part that arrived is not used.
#[derive(Clone, Copy, Debug)]
pub struct TooSlow;

/// Reads a JSON object: (1) type 415, (2) size 413, time 408, (3) content 400.
pub(super) fn json<T: DeserializeOwned>(
    request: &Request<Vec<u8>>,
    max_bytes: usize,
) -> Result<T, Error> {
    read_by(request, max_bytes, json::object)
}

/// Reads the text of a JSON object as the client wrote it, with the checks of [`json()`].
pub(super) fn json_text(request: &Request<Vec<u8>>, max_bytes: usize) -> Result<&str, Error> {
    read_by(request, max_bytes, json::object_text)
}

fn read_by<'a, T>(
    request: &'a Request<Vec<u8>>,
    max_bytes: usize,
    read: impl FnOnce(&'a [u8]) -> Result<T, json::Error>,
) -> Result<T, Error> {
    // (1)
    if !has_type(request.headers(), "application/json") {
        return Err(Error::UnsupportedMediaType);
    }
    // (2)
    check_size(request, max_bytes)?;
    // (3)
    read(request.body()).map_err(|error| {
        Error::InvalidRequest(match error {
            json::Error::Malformed => {
                "The body is not well-formed JSON in UTF-8. Send one JSON object."
            }
            json::Error::Duplicate => {
                "The body has two members with the same name. Send each member once."
            }
            json::Error::Shape => {
                "The body is not a JSON object with the members of this route. GET /openapi.json describes them."
            }
        })
    })
}

/// Reads the one parameter with this name from a form ([RFC 6749] appendix B), with the checks of
/// [`json()`].
///
/// [RFC 6749]: https://www.rfc-editor.org/rfc/rfc6749#appendix-B
pub(super) fn form_value<'a>(
    request: &'a Request<Vec<u8>>,
    max_bytes: usize,
    name: &str,
) -> Result<Cow<'a, str>, Error> {
    if !has_type(request.headers(), "application/x-www-form-urlencoded") {
        return Err(Error::UnsupportedMediaType);
    }
    check_size(request, max_bytes)?;
    let mut values = form_urlencoded::parse(request.body()).filter(|(key, _)| key == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Ok(value),
        _ => Err(Error::InvalidRequest(
            "A parameter of the form is missing, or it is there twice. Send each parameter of this route once.",
        )),
    }
}

/// Whether a text is one line with something to read, of at most so many characters as JavaScript
/// counts them. Marks that turn the direction of writing are letters of a name like any other.
pub(super) fn is_line(text: &str, max_characters: usize) -> bool {
    let is_break =
        |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    !text.trim().is_empty()
        && text.encode_utf16().count() <= max_characters
        && !text.contains(is_break)
}

/// Rejects a body that is too long or arrived too slowly. The announced length counts first,
/// because an edge may leave a body unread whose announced length is too long.
pub(super) fn check_size(request: &Request<Vec<u8>>, max_bytes: usize) -> Result<(), Error> {
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let is_over = announced
        .is_some_and(|text| text.parse().map_or(true, |length: usize| length > max_bytes))
        || request.body().len() > max_bytes;
    if is_over {
        return Err(Error::BodyTooLarge);
    }
    if request.extensions().get::<TooSlow>().is_some() {
        return Err(Error::RequestTimeout);
    }
    Ok(())
}

/// Whether the body has this type, is in UTF-8 if it names a charset, and is not compressed. A form
/// that another site posts cannot be JSON.
fn has_type(headers: &HeaderMap, media_type: &str) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let content_type = text(header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    parts.next() == Some(media_type)
        && parts.all(|parameter| matches!(parameter, "charset=utf-8" | "charset=\"utf-8\"" | ""))
        && headers.get_all(header::CONTENT_TYPE).iter().count() == 1
        && headers.get(header::CONTENT_ENCODING).is_none_or(|coding| coding == "identity")
}
