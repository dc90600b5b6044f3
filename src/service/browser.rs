//! The headers that browsers send and obey: `Origin` and CORS ([Fetch], "CORS protocol"), Fetch
//! Metadata, and the headers that protect a response.
//!
//! The origin is checked on every route, the first sign-in included: otherwise a hostile page could
//! sign its visitor in as the attacker.
//!
//! [Fetch]: https://fetch.spec.whatwg.org/#http-cors-protocol

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};

use super::{answer, cookie, error::Error, log::Spent, settings::Settings};

/// The allowed origin of the request, if it names one. Servers send none.
///
/// # Errors
/// [`Error::OriginNotAllowed`] for an origin that is neither listed nor the issuer's own, and for
/// several origins.
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

/// The issuer's own origin, if the request names one, for routes that no other page may call.
///
/// # Errors
/// [`Error::OriginNotAllowed`], and [`Error::OriginNotIssuer`] for a listed origin.
pub(super) fn own_origin(
    settings: &Settings,
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, Error> {
    match origin(settings, headers)? {
        Some(origin) if origin != settings.policy.issuer.as_str() => {
            Err(Error::OriginNotIssuer(printable(&origin)))
        }
        own => Ok(own),
    }
}

/// A host name has at most 253 characters, so a longer text is not an origin that somebody forgot
/// to list.
const MAX_LOGGED: usize = 270;

/// An origin for the log. The text may come from an attacker, so a question mark replaces every
/// character that could begin a line, end a quotation or move a cursor.
fn printable(origin: &HeaderValue) -> String {
    let plain = |&byte: &u8| {
        let is_plain = byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        char::from(if is_plain { byte } else { b'?' })
    };
    origin.as_bytes().iter().take(MAX_LOGGED).map(plain).collect()
}

/// Rejects a request that another site made with the cookies that the browser adds. An allowed page
/// is recognised by its `Origin`, which a page cannot forge; for a request without one, [Fetch
/// Metadata] names the site.
///
/// # Errors
/// [`Error::OriginNotAllowed`], [`Error::AmbiguousCredentials`].
///
/// [Fetch Metadata]: https://www.w3.org/TR/fetch-metadata/
pub(super) fn guard_cookies(settings: &Settings, request: &Request<Vec<u8>>) -> Result<(), Error> {
    let headers = request.headers();
    // An `Origin` has been checked already.
    if !settings.cookies || !cookie::any(headers)? || headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    let is_cross_site = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    let is_read = matches!(request.method(), &Method::GET | &Method::HEAD);
    if is_cross_site || !is_read { Err(Error::OriginNotAllowed(None)) } else { Ok(()) }
}

/// The headers of this service and of several tracing libraries are twenty names of twenty
/// characters. This leaves room for twice as much.
const MAX_NAMED_BYTES: usize = 1024;

/// Answers a preflight, and any other `OPTIONS`.
///
/// An allowed page may send any header. Tracing libraries add their own headers to every request,
/// and the browser sends no request of a page if one of its headers is not granted. The service
/// reads only the headers that it knows.
pub(super) fn preflight(request: &HeaderMap, methods: &'static str) -> Response<Vec<u8>> {
    let mut response = answer::no_content();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.append(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    // An `Origin` has been checked already. A request without one is no preflight.
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
    // Ten minutes: Safari caches no longer, and a removed origin should soon stop working.
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Restricts a response to programs: browsers must not guess its type, frame it, embed it in other
/// sites, send it as a referrer, or request it without TLS.
pub(super) fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        // A year. Browsers accept it only over https.
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Tells a developer how long the Worker waited for Pi and for the database: the network panel of a
/// browser shows it ([Server Timing]). In production it would help strangers to measure both.
///
/// [Server Timing]: https://www.w3.org/TR/server-timing/
pub(super) fn time(headers: &mut HeaderMap, spent: Spent, origin: Option<HeaderValue>) {
    let Spent { total_ms, pi, d1_ms, .. } = spent;
    let pi_ms = pi.milliseconds();
    let timing = format!("pi;dur={pi_ms}, db;dur={d1_ms}, total;dur={total_ms}");
    if let Ok(timing) = HeaderValue::from_str(&timing) {
        headers.insert(HeaderName::from_static("server-timing"), timing);
    }
    if let Some(origin) = origin {
        headers.insert(HeaderName::from_static("timing-allow-origin"), origin);
    }
}

/// Allows the one allowed origin to read the response. `Vary` is on every response, so that no
/// cache returns one origin's response to another.
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
