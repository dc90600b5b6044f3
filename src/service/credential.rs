//! The credentials of a request: a session token in a header or a cookie, a refresh token in a
//! cookie, or a backend's credential. A URL never carries one.

use http::{HeaderMap, HeaderValue, Request, header};

use super::{
    app::{App, Entropy, Ports},
    attempts,
    cookie::{self, Cookie},
    error::Error,
    limit::Limit,
};
use crate::{
    audit::{Action, Entry, Via},
    identifier::Identifier,
    jwt::Claims,
    secret::Secret,
    session::{self, RefreshToken},
    time::UnixTime,
};

/// Stands for a header value that `http` cannot hold. It is not a valid origin, entity tag, length
/// or token, so every reader rejects it.
pub const UNREADABLE: HeaderValue = HeaderValue::from_static("?");

/// The credential in `Authorization: Bearer` ([RFC 6750] §2.1), if there is one.
///
/// # Errors
/// [`Error::AmbiguousCredentials`] for two of them. Some platforms join two headers with a comma,
/// which no token contains. An unreadable header may be any credential.
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

/// The claims of the request's session token: 400 `ambiguous_credentials`, 401. Only the store
/// knows whether the session is still live, but a session that it has called over before is
/// rejected without another question.
pub(super) fn claims<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Claims, Error> {
    let headers = request.headers();
    let bearer = bearer(headers)?;
    let token = if app.settings.cookies {
        // Two credentials may belong to two people.
        if bearer.is_some() && cookie::any(headers)? {
            return Err(Error::AmbiguousCredentials);
        }
        bearer.or(Cookie::Session.of(headers)?.map(str::as_bytes))
    } else {
        bearer
    };
    let claims = verified(app, token.ok_or(Error::SessionMissing)?)?;
    let has_ended = app.memory.has_ended(&claims.sid, claims.auth_time);
    if has_ended { Err(Error::SessionRevoked) } else { Ok(claims) }
}

/// The store's answer about a live session: 401 `session_revoked` if there is none. Then the
/// session is remembered, and every further request with its token is rejected in [`claims`].
pub(super) fn live<P: Ports, T>(
    app: &App<'_, P>,
    claims: &Claims,
    found: Option<T>,
) -> Result<T, Error> {
    found.ok_or_else(|| {
        app.memory.end(&claims.sid, claims.auth_time);
        Error::SessionRevoked
    })
}

/// The claims of a session token from this issuer that has not expired.
pub(super) fn verified<P: Ports>(app: &App<'_, P>, token: &[u8]) -> Result<Claims, Error> {
    let now = app.now();
    let claims = app.settings.keys.verify(token, &app.settings.policy, now)?;
    // This clock is the issuer's own, so it needs no tolerance.
    if now >= claims.exp {
        return Err(Error::SessionExpired);
    }
    app.note(|facts| {
        facts.uid = Some(claims.sub.clone());
        facts.sid = Some(claims.sid.clone());
    });
    Ok(claims)
}

/// The refresh token in the request's cookie, if cookies are on and the token is valid.
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

/// The user of the request's live session, and the stored value that `find` reads in the same call:
/// 400 `ambiguous_credentials`, 401, 503. Counts the request against this limit of the user: 429. A
/// request with the token of a revoked session does not count: a thief of the token must not use up
/// its owner's limit.
pub(super) async fn limited_user<P: Ports, T>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    limit: Limit,
    find: impl AsyncFnOnce(&Identifier, UnixTime) -> Result<Option<(Identifier, T)>, session::Error>,
) -> Result<(Identifier, T), Error> {
    let claims = claims(app, request)?;
    let (uid, found) = live(app, &claims, find(&claims.sid, app.now()).await?)?;
    attempts::by_owner(app, limit, &uid).await?;
    Ok((uid, found))
}

/// A backend whose credential is in the request.
pub(super) struct Backend<'a> {
    name: &'a str,
}

impl Backend<'_> {
    /// An entry of the audit about a deed of this backend.
    pub(super) fn entry(
        &self,
        action: Action,
        target: Option<&Identifier>,
        entropy: Entropy,
    ) -> Entry {
        Entry {
            actor: self.name.to_owned(),
            via: Via::Backend,
            action,
            target: target.map(|id| id.as_str().to_owned()),
            detail: None,
            request_id: entropy.request_id(),
        }
    }
}

/// Checks the backend's credential: 400 `ambiguous_credentials`, 401 `backend_rejected`, 500
/// `misconfigured` if the Worker has no credentials of backends.
pub(super) fn backend<'a, P: Ports>(
    app: &App<'a, P>,
    headers: &HeaderMap,
) -> Result<Backend<'a>, Error> {
    let credentials = app.settings.backends()?;
    let credential = bearer(headers)?.ok_or(Error::BackendRejected)?;
    let name = credentials.admit(credential).ok_or(Error::BackendRejected)?;
    app.note(|facts| facts.backend = Some(name.to_owned()));
    Ok(Backend { name })
}
