//! What browsers add: `Origin` and CORS ([Fetch], "CORS protocol"), and the credential's header.
//!
//! The origin is checked on every route, the first sign-in included: otherwise a hostile page could sign
//! its visitor in as the attacker.
//!
//! [Fetch]: https://fetch.spec.whatwg.org/#http-cors-protocol

use http::{HeaderMap, HeaderValue, Response, header};

use super::{Error, Settings};

/// The allowed origin of the request, if it names one at all. Servers send none.
///
/// # Errors
/// [`Error::OriginNotAllowed`] for one that is neither listed nor the issuer's own, or for several.
pub(super) fn origin(
    settings: &Settings,
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, Error> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => Ok(None),
        (Some(origin), None)
            if *origin == settings.policy.issuer.as_str()
                || settings.allowed_origins.iter().any(|allowed| *origin == allowed.as_str()) =>
        {
            Ok(Some(origin.clone()))
        }
        _ => Err(Error::OriginNotAllowed),
    }
}

/// Answers a preflight, and any other `OPTIONS`.
pub(super) fn preflight(methods: &'static str) -> Response<Vec<u8>> {
    let mut response = super::body::none();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("authorization, content-type, if-match"),
    );
    // Ten minutes: Safari keeps no more, and a removed origin should not linger.
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Lets the one allowed origin read the reply. `Vary` is on every reply, so that no cache gives one
/// origin's reply to another.
pub(super) fn allow(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("etag, retry-after, x-request-id"),
    );
}

/// The session token of the request, from `Authorization: Bearer` ([RFC 6750] §2.1) alone.
///
/// # Errors
/// [`Error::SessionMissing`], or [`Error::AmbiguousCredentials`] for two of them. Some platforms join
/// two headers with a comma, which no token has.
///
/// [RFC 6750]: https://www.rfc-editor.org/rfc/rfc6750
pub(super) fn bearer(headers: &HeaderMap) -> Result<&[u8], Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Error::SessionMissing)?.as_bytes();
    if values.next().is_some() || value.contains(&b',') {
        return Err(Error::AmbiguousCredentials);
    }
    match value.split_first_chunk::<7>() {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => {
            Ok(token.trim_ascii_start())
        }
        _ => Err(Error::SessionMissing),
    }
}
