//! `/session` and `/sessions`: signing in with Pi's access token, the sessions that a user has, and ending them.

use http::{HeaderMap, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Ambient, App, Error, body, browser};
use crate::{
    identifier::Identifier,
    jwt::{self, Claims},
    pi::{self, AccessToken, Transport},
    secret::Secret,
    session::{Device, Ended, Session, SignIn, SignedIn, Store, User},
    time::UnixTime,
};

/// Pi's whole AuthResult may be posted. Its `user` is whatever the browser says, and is not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignInBody {
    access_token: Secret,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignInAnswer<'a> {
    session_token: String,
    token_type: &'static str,
    expires_in: u32,
    expires_at: String,
    user: UserJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionAnswer<'a> {
    sid: &'a str,
    uid: &'a str,
    issued_at: String,
    expires_at: String,
    user: UserJson<'a>,
}

#[derive(Serialize)]
struct ListAnswer<'a> {
    sessions: Vec<ListedSession<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedSession<'a> {
    sid: &'a str,
    current: bool,
    created_at: String,
    /// When it last got a session token.
    last_seen_at: String,
    expires_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
}

/// A user as every route shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserJson<'a> {
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    scopes: &'a [String],
    first_seen_at: String,
    last_seen_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_new: Option<bool>,
}

impl<'a> UserJson<'a> {
    pub(super) fn new(user: &'a User, is_new: Option<bool>) -> Self {
        Self {
            uid: user.uid.as_str(),
            username: user.username.as_deref(),
            scopes: &user.scopes,
            first_seen_at: user.first_seen_at.to_rfc3339(),
            last_seen_at: user.last_seen_at.to_rfc3339(),
            is_new,
        }
    }
}

/// `POST /session`.
///
/// 1. Reads the access token: 400, 413, 415.
/// 2. Asks Pi whose it is: 401 `access_token_rejected`, 502, 503, 504.
/// 3. Checks that it was made for this app: 403 `wrong_app`.
/// 4. Signs the session token, so that nothing is written that could not be answered.
/// 5. Writes the user and the session, both or neither: 503 `storage_unavailable`.
pub(super) async fn sign_in<S: Store, T: Transport>(
    app: &App<'_, S, T>,
    request: &Request<Vec<u8>>,
    Ambient { now, entropy }: Ambient,
) -> Result<Response<Vec<u8>>, Error> {
    let settings = app.settings;
    // (1)
    let body: SignInBody = body::read(request)?;
    let token = AccessToken::parse(body.access_token).ok_or(Error::InvalidRequest(
        "accessToken is not the access token that Pi.authenticate gives.",
    ))?;
    // (2)
    let user = pi::me(&app.transport, &settings.pi_api_base, &token, now).await?;
    // (3) `/v2/me` knows the tokens of every Pi app; only `app_id` tells them apart.
    if settings.pi_app_id.is_some() && user.app_id != settings.pi_app_id {
        return Err(Error::WrongApp);
    }
    // (4)
    let expires_at = now.plus(settings.session_ttl);
    let device = device(request.headers());
    let session =
        Session { sid: entropy.sid(), uid: user.uid, created_at: now, expires_at, device };
    let sign_in = SignIn { uid: session.uid.clone(), username: user.username, scopes: user.scopes };
    let claims = Claims {
        iss: settings.policy.issuer.clone(),
        aud: settings.policy.audience.clone(),
        sub: session.uid.clone(),
        sid: session.sid.clone(),
        iat: now,
        exp: expires_at,
        nbf: None,
        auth_time: now,
        jti: entropy.jti(),
        scope: sign_in.scopes.join(" "),
        preferred_username: sign_in.username.clone(),
        app_bound: settings.pi_app_id.is_some(),
    };
    let session_token = jwt::sign(&claims, settings.keys.active())
        .map_err(|_| Error::Internal("the session token would be over its size limit"))?;
    // (5)
    let SignedIn { user, is_new } =
        app.store.open(&sign_in, &session, settings.max_sessions).await?;
    Ok(body::json(
        StatusCode::OK,
        &SignInAnswer {
            session_token,
            token_type: "Bearer",
            expires_in: settings.session_ttl,
            expires_at: expires_at.to_rfc3339(),
            user: UserJson::new(&user, Some(is_new)),
        },
    ))
}

/// `GET /session`: 200, or 401 as soon as the session has ended.
pub(super) async fn show<S: Store, T>(
    app: &App<'_, S, T>,
    request: &Request<Vec<u8>>,
    now: UnixTime,
) -> Result<Response<Vec<u8>>, Error> {
    let claims = claims(app, request, now)?;
    let user = app.store.user(&claims.sid, now).await?.ok_or(Error::SessionRevoked)?;
    Ok(body::json(
        StatusCode::OK,
        &SessionAnswer {
            sid: claims.sid.as_str(),
            uid: claims.sub.as_str(),
            issued_at: claims.iat.to_rfc3339(),
            expires_at: claims.exp.to_rfc3339(),
            user: UserJson::new(&user, None),
        },
    ))
}

/// `DELETE /session`: 204.
pub(super) async fn sign_out<S: Store, T>(
    app: &App<'_, S, T>,
    request: &Request<Vec<u8>>,
    now: UnixTime,
) -> Result<Response<Vec<u8>>, Error> {
    let claims = claims(app, request, now)?;
    if app.store.revoke(&claims.sid, now).await? {
        Ok(body::none())
    } else {
        Err(Error::SessionRevoked)
    }
}

/// `GET /sessions`: 200 with the user's live sessions, the newest first.
pub(super) async fn list<S: Store, T>(
    app: &App<'_, S, T>,
    request: &Request<Vec<u8>>,
    now: UnixTime,
) -> Result<Response<Vec<u8>>, Error> {
    let sid = claims(app, request, now)?.sid;
    let sessions = app.store.sessions(&sid, now).await?;
    if sessions.is_empty() {
        return Err(Error::SessionRevoked);
    }
    let sessions = sessions.iter().map(|session| ListedSession {
        sid: session.sid.as_str(),
        current: session.sid == sid,
        created_at: session.created_at.to_rfc3339(),
        last_seen_at: session.created_at.to_rfc3339(),
        expires_at: session.expires_at.to_rfc3339(),
        user_agent: session.device.user_agent.as_deref(),
        country: session.device.country.as_deref(),
    });
    Ok(body::json(StatusCode::OK, &ListAnswer { sessions: sessions.collect() }))
}

/// `DELETE /sessions`: 204. The user is signed out everywhere, here as well.
pub(super) async fn sign_out_everywhere<S: Store, T>(
    app: &App<'_, S, T>,
    request: &Request<Vec<u8>>,
    now: UnixTime,
) -> Result<Response<Vec<u8>>, Error> {
    let sid = claims(app, request, now)?.sid;
    if app.store.revoke_all(&sid, now).await? {
        Ok(body::none())
    } else {
        Err(Error::SessionRevoked)
    }
}

/// `DELETE /sessions/{sid}`: 204, or 404 when the user has no such live session.
pub(super) async fn end_one<S: Store, T>(
    app: &App<'_, S, T>,
    request: &Request<Vec<u8>>,
    now: UnixTime,
) -> Result<Response<Vec<u8>>, Error> {
    let sid = claims(app, request, now)?.sid;
    let name = request.uri().path().strip_prefix("/sessions/").unwrap_or_default();
    let other = Identifier::parse(name.to_owned()).ok_or(Error::NotFound)?;
    match app.store.revoke_other(&sid, &other, now).await? {
        Ended::Done => Ok(body::none()),
        Ended::Unknown => Err(Error::NotFound),
        Ended::SessionEnded => Err(Error::SessionRevoked),
    }
}

/// A user agent that is longer than this says nothing more that a person would read.
const MAX_USER_AGENT_CHARACTERS: usize = 200;

/// What the request says of its browser, and Cloudflare of its country (`CF-IPCountry`).
fn device(headers: &HeaderMap) -> Device {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let user_agent =
        text("user-agent").map(|agent| agent.chars().take(MAX_USER_AGENT_CHARACTERS).collect());
    let country = text("cf-ipcountry").filter(|country| {
        country.len() == 2
            && country.bytes().all(|byte| byte.is_ascii_uppercase())
            && *country != "XX"
    });
    Device { user_agent, country: country.map(str::to_owned) }
}

/// The claims of the request's session token: 400 `ambiguous_credentials`, 401. Whether the session is
/// still live, only the store knows.
pub(super) fn claims<S, T>(
    app: &App<'_, S, T>,
    request: &Request<Vec<u8>>,
    now: UnixTime,
) -> Result<Claims, Error> {
    let token = browser::bearer(request.headers())?;
    let claims = jwt::verify(token, app.settings.keys.all(), &app.settings.policy, now)?.claims;
    // The session's row ends with the token, without a tolerance: it has expired, and was not ended.
    if now >= claims.exp { Err(Error::SessionExpired) } else { Ok(claims) }
}
