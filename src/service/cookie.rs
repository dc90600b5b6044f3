//! The session as cookies, for a page on the Worker's own site ([RFC 6265bis]). They are off unless
//! `SESSION_COOKIE` is on.
//!
//! A Pi app may run in an iframe of another site, so the cookies are `SameSite=None`, and also
//! `Partitioned` for browsers that block third-party cookies. [`super::browser`] rejects the
//! requests that `SameSite` would prevent. The names begin with `__Host-`, so that no other host
//! can set the cookies; any other spelling is another cookie.
//!
//! [RFC 6265bis]: https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis

use http::{HeaderMap, HeaderValue, Response, header};

use super::{error::Error, settings::Settings};

/// One of the two cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cookie {
    /// The session token.
    Session,
    /// The refresh token.
    Refresh,
}

const BOTH: [Cookie; 2] = [Cookie::Session, Cookie::Refresh];

impl Cookie {
    const fn name(self) -> &'static str {
        match self {
            Self::Session => "__Host-pi_session",
            Self::Refresh => "__Host-pi_refresh",
        }
    }

    /// The cookie's value in a request.
    ///
    /// # Errors
    /// [`Error::AmbiguousCredentials`] for two cookies with this name.
    pub(super) fn of(self, headers: &HeaderMap) -> Result<Option<&str>, Error> {
        let values = headers.get_all(header::COOKIE).iter();
        let pairs = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b';'));
        // Other cookies may contain any bytes.
        let mut values = pairs.filter_map(|pair| {
            let (name, value) = pair.split_at(pair.iter().position(|&byte| byte == b'=')?);
            let is_ours = name.trim_ascii() == self.name().as_bytes();
            is_ours.then(|| value.get(1..).unwrap_or_default().trim_ascii())
        });
        match (values.next(), values.next()) {
            // A value that is not text is not valid, but the cookie is there.
            (value, None) => Ok(value.map(|value| core::str::from_utf8(value).unwrap_or_default())),
            _ => Err(Error::AmbiguousCredentials),
        }
    }

    /// Makes the browser store this value for so many seconds, and no other cookie with this name.
    /// A browser may still have an unpartitioned cookie from the time before it knew `Partitioned`,
    /// and would send both. The unpartitioned one is removed first, because to a browser that does
    /// not know `Partitioned`, both are one cookie.
    pub(super) fn set(self, headers: &mut HeaderMap, value: &str, seconds: i64) {
        let name = self.name();
        append(headers, &format!("{name}=; {ATTRIBUTES}; Max-Age=0"));
        append(headers, &format!("{name}={value}; {ATTRIBUTES}; Partitioned; Max-Age={seconds}"));
    }
}

const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=None";

/// Whether a request carries one of the cookies.
///
/// # Errors
/// [`Error::AmbiguousCredentials`] if it carries one of them twice.
pub(super) fn any(headers: &HeaderMap) -> Result<bool, Error> {
    let [session, refresh] = BOTH.map(|cookie| cookie.of(headers));
    Ok(session?.is_some() | refresh?.is_some())
}

/// Removes both cookies from the browser, each with and without `Partitioned`: those are two
/// cookies to a browser.
pub(super) fn clear(headers: &mut HeaderMap) {
    for cookie in BOTH {
        for partitioned in ["; Partitioned", ""] {
            append(headers, &format!("{}=; {ATTRIBUTES}{partitioned}; Max-Age=0", cookie.name()));
        }
    }
}

/// The response to a request that revoked its session: it also removes the cookies, if they are on.
pub(super) fn cleared(settings: &Settings, mut response: Response<Vec<u8>>) -> Response<Vec<u8>> {
    if settings.cookies {
        clear(response.headers_mut());
    }
    response
}

/// Tokens and attributes consist of plain characters, without a line break or a semicolon.
fn append(headers: &mut HeaderMap, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.append(header::SET_COOKIE, value);
    }
}
