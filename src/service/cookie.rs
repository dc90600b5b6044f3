//! The session as cookies, for a page on the Worker's own site ([RFC 6265bis]). Off unless `SESSION_COOKIE` is on.
//!
//! A Pi app may run in an iframe of another site, so the cookies are `SameSite=None` and, where third-party cookies
//! are blocked, `Partitioned`. What `SameSite` would keep out, `browser` does. Their names begin with `__Host-`, so that
//! no other host can set them; any other spelling is another cookie.
//!
//! [RFC 6265bis]: https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis

use http::{HeaderMap, HeaderValue, Response, header};

use super::{Error, Settings};

/// Which of the two.
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

    /// Its value in a request.
    ///
    /// # Errors
    /// [`Error::AmbiguousCredentials`] when there are two of this name.
    pub(super) fn of(self, headers: &HeaderMap) -> Result<Option<&str>, Error> {
        let values = headers.get_all(header::COOKIE).iter();
        let pairs = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b';'));
        // Other cookies may hold anything.
        let mut values = pairs.filter_map(|pair| {
            let (name, value) = pair.split_at(pair.iter().position(|&byte| byte == b'=')?);
            let is_ours = name.trim_ascii() == self.name().as_bytes();
            is_ours.then(|| value.get(1..).unwrap_or_default().trim_ascii())
        });
        match (values.next(), values.next()) {
            // One that is not text is no value of ours, but it is there.
            (value, None) => Ok(value.map(|value| core::str::from_utf8(value).unwrap_or_default())),
            _ => Err(Error::AmbiguousCredentials),
        }
    }

    /// Lets the browser keep this value for some seconds, and no other of this name: one that it has kept since before it
    /// knew `Partitioned` would be sent beside this. That one goes first, because to a browser that does not know
    /// `Partitioned`, both are one cookie.
    pub(super) fn set(self, headers: &mut HeaderMap, value: &str, seconds: i64) {
        let name = self.name();
        append(headers, &format!("{name}=; {ATTRIBUTES}; Max-Age=0"));
        append(headers, &format!("{name}={value}; {ATTRIBUTES}; Partitioned; Max-Age={seconds}"));
    }
}

const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=None";

/// Whether a request carries either.
///
/// # Errors
/// [`Error::AmbiguousCredentials`] when it carries one twice.
pub(super) fn any(headers: &HeaderMap) -> Result<bool, Error> {
    let [session, refresh] = BOTH.map(|cookie| cookie.of(headers));
    Ok(session?.is_some() | refresh?.is_some())
}

/// Takes both from the browser, and their twins: what a browser keeps without `Partitioned` is another cookie.
pub(super) fn clear(headers: &mut HeaderMap) {
    for cookie in BOTH {
        for partitioned in ["; Partitioned", ""] {
            append(headers, &format!("{}=; {ATTRIBUTES}{partitioned}; Max-Age=0", cookie.name()));
        }
    }
}

/// The answer to the end of the session, which takes the cookies with it where they are on.
pub(super) fn cleared(settings: &Settings, mut response: Response<Vec<u8>>) -> Response<Vec<u8>> {
    if settings.cookies {
        clear(response.headers_mut());
    }
    response
}

/// Tokens and attributes are of plain characters: no line break and no semicolon can be in them.
fn append(headers: &mut HeaderMap, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.append(header::SET_COOKIE, value);
    }
}
