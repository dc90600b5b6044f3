//! What a request proves itself with: a session token in its header or its cookie, or a backend's credential.
//! Never anything in a URL.

use http::{HeaderMap, HeaderValue, Request, header};

use super::{App, Error, Ports, cookie, cookie::Cookie};
use crate::{jwt::Claims, secret::Secret, session::RefreshToken};

/// Stands for a header value that `http` cannot hold. It is not a valid origin, entity tag, length or token, so those who
/// read one refuse it.
pub const UNREADABLE: HeaderValue = HeaderValue::from_static("?");

/// The credential in `Authorization: Bearer` ([RFC 6750] §2.1), if there is one.
///
/// # Errors
/// [`Error::AmbiguousCredentials`] for two of them. Some platforms join two headers with a comma, which no
/// token has; and one that cannot be read may be any.
///
/// [RFC 6750]: https://www.rfc-editor.org/rfc/rfc6750
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&[u8]>, Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next().map(|value| value.as_bytes()) else { return Ok(None) };
    if values.next().is_some() || value.contains(&b',') || value == UNREADABLE.as_bytes() {
        return Err(Error::AmbiguousCredentials);
    }
    Ok(match value.split_first_chunk::<7>() {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => {
            // RFC 9110 §11.4: one space or more, and nothing else.
            let spaces = token.iter().take_while(|&&byte| byte == b' ').count();
            token.get(spaces..)
        }
        _ => None,
    })
}

/// The claims of the request's session token: 400 `ambiguous_credentials`, 401. Whether the session is
/// still live, only the store knows.
pub(super) fn claims<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Claims, Error> {
    let headers = request.headers();
    let bearer = bearer(headers)?;
    let token = if app.settings.cookies {
        // Two credentials may be two people.
        if bearer.is_some() && cookie::any(headers)? {
            return Err(Error::AmbiguousCredentials);
        }
        bearer.or(Cookie::Session.of(headers)?.map(str::as_bytes))
    } else {
        bearer
    };
    verified(app, token.ok_or(Error::SessionMissing)?)
}

/// The claims of a session token of ours that has not expired.
pub(super) fn verified<P: Ports>(app: &App<'_, P>, token: &[u8]) -> Result<Claims, Error> {
    let now = app.now();
    let claims = app.settings.keys.verify(token, &app.settings.policy, now)?;
    // Here the clock is the issuer's own, and needs no tolerance.
    if now >= claims.exp { Err(Error::SessionExpired) } else { Ok(claims) }
}

/// What the refresh cookie says, where cookies are on and it holds.
pub(super) fn refresh_cookie<P: Ports>(
    app: &App<'_, P>,
    headers: &HeaderMap,
) -> Result<Option<RefreshToken>, Error> {
    if !app.settings.cookies {
        return Ok(None);
    }
    let text = Cookie::Refresh.of(headers)?.map(|text| Secret::new(text.to_owned()));
    Ok(text.and_then(|text| app.settings.refresh_key.accept(&text)))
}
