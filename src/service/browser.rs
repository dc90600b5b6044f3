//! What browsers add: `Origin` and CORS ([Fetch], "CORS protocol"), and Fetch Metadata.
//!
//! The origin is checked on every route, the first sign-in included: otherwise a hostile page could sign
//! its visitor in as the attacker.
//!
//! [Fetch]: https://fetch.spec.whatwg.org/#http-cors-protocol

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};

use super::{Error, Settings, cookie};

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
        (Some(origin), _) => Err(Error::OriginNotAllowed(Some(printable(origin)))),
    }
}

/// A longer text is not the origin of a page that somebody forgot to list: a host name has 253 characters at most.
const MAX_LOGGED: usize = 270;

/// An origin for the log. It is the caller's text, and may be an attacker's: of all characters that could begin a line, end
/// a quotation or move a cursor, a question mark is left.
fn printable(origin: &HeaderValue) -> String {
    let plain = |&byte: &u8| {
        let is_plain = byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        char::from(if is_plain { byte } else { b'?' })
    };
    origin.as_bytes().iter().take(MAX_LOGGED).map(plain).collect()
}

/// Refuses a request that another site made with our cookies, which its browser adds by itself. A page that may call
/// is known by its `Origin`, which it cannot forge ([Fetch Metadata] says the same of a request without one).
///
/// # Errors
/// [`Error::OriginNotAllowed`], [`Error::AmbiguousCredentials`].
///
/// [Fetch Metadata]: https://www.w3.org/TR/fetch-metadata/
pub(super) fn guard_cookies(settings: &Settings, request: &Request<Vec<u8>>) -> Result<(), Error> {
    let headers = request.headers();
    // An `Origin` that is there has been checked.
    if !settings.cookies || !cookie::any(headers)? || headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    let is_cross_site = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    let is_read = matches!(request.method(), &Method::GET | &Method::HEAD);
    if is_cross_site || !is_read { Err(Error::OriginNotAllowed(None)) } else { Ok(()) }
}

/// Our own headers and those of several tracing libraries are twenty names, of twenty characters each.
const MAX_NAMED_BYTES: usize = 1024;

/// Answers a preflight, and any other `OPTIONS`.
///
/// A page that may call may send any header. Tracing libraries add headers of their own to every request, and the browser
/// sends none of a page's requests if one of them is not granted. The service reads only the headers that it knows.
pub(super) fn preflight(request: &HeaderMap, methods: &'static str) -> Response<Vec<u8>> {
    let mut response = super::body::none();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.append(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    // An `Origin` that is there has been checked. A request without one is no preflight.
    let named = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|names| {
        let is_plain =
            |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~, ".contains(&byte);
        request.contains_key(header::ORIGIN)
            && names.len() <= MAX_NAMED_BYTES
            && names.as_bytes().iter().all(is_plain)
    });
    if let Some(names) = named {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    // Ten minutes: Safari keeps no more, and a removed origin should not linger.
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// What keeps a reply from being anything but an answer to a program: not guessed at, framed, embedded elsewhere,
/// linked from, or asked for without TLS again.
pub(super) fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        // A year; browsers take it over https alone.
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Lets the one allowed origin read the reply. `Vary` is on every reply, so that no cache gives one
/// origin's reply to another.
pub(super) fn allow(headers: &mut HeaderMap, origin: Option<HeaderValue>, with_cookies: bool) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if with_cookies {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("dpop-nonce, etag, retry-after, x-request-id"),
    );
}
