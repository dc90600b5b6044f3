//! `/session`: signing in with Pi's access token, refreshing, and signing out.

use http::{HeaderMap, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    App, Entropy, Error, Ports, body,
    cookie::{self, Cookie},
    credential::{claims, refresh_cookie},
    limit::{self, Limit},
    signer::sign,
    user::UserJson,
};
use crate::{
    identifier::Identifier,
    json,
    jwt::{self, Claims},
    pi::{self, AccessToken},
    secret::Secret,
    session::{
        self, Device, Opened, RefreshToken, Refreshed, Session, SignIn, SignedIn, Store as _, User,
    },
    time::UnixTime,
};

/// Pi's whole AuthResult may be posted. Its `user` is whatever the browser says, and is not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignInBody {
    access_token: Secret,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefreshBody {
    #[serde(default, deserialize_with = "json::present")]
    refresh_token: Option<Secret>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenAnswer<'a> {
    session_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    expires_at: String,
    refresh_token: &'a str,
    refresh_expires_at: String,
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

/// `POST /session`.
///
/// 1. Reads the access token: 400, 408, 413, 415.
/// 2. Counts the client's attempts, for Pi will be asked: 429.
/// 3. Asks Pi whose it is: 401 `access_token_rejected`, 502, 503, 504.
/// 4. Checks that it was made for this app: 403 `wrong_app`.
/// 5. Counts the user's sign-ins: 429.
/// 6. Signs the session token, so that nothing is written that could not be answered.
/// 7. Writes the user and the session, both or neither: 503 `storage_unavailable`.
pub(super) async fn sign_in<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Result<Response<Vec<u8>>, Error> {
    let settings = app.settings;
    // (1)
    let body: SignInBody = body::read(request)?;
    let token = AccessToken::parse(body.access_token).ok_or(Error::InvalidRequest(
        "accessToken is not the access token that Pi.authenticate gives.",
    ))?;
    // (2)
    limit::by_address(app, Limit::SignIns, request.headers()).await?;
    // (3)
    let user = pi::me(&app.transport, &settings.pi_api_base, &token, || app.now()).await?;
    // (4) `/v2/me` knows the tokens of every Pi app; only `app_id` tells them apart.
    if settings.pi_app_id.is_some() && user.app_id != settings.pi_app_id {
        return Err(Error::WrongApp);
    }
    // (5)
    limit::by_owner(app, Limit::UserSignIns, &user.uid).await?;
    // The session that this browser had until now ends with it: nothing of it carries over.
    let replaced = refresh_cookie(app, request.headers())?.map(|token| token.sid);
    let sign_in = SignIn { uid: user.uid, username: user.username, scopes: user.scopes };
    let mut now = app.now();
    for _ in 0..ATTEMPTS {
        // (6)
        let (id, uid, app_id) = (entropy.id(), sign_in.uid.clone(), settings.pi_app_id.clone());
        let device = device(request.headers());
        let session = Session::begin(id, uid, app_id, device, now, &settings.lifetimes);
        let username = sign_in.username.as_deref();
        let tokens = Tokens::issue(app, &session, &sign_in.scopes, username).await?;
        // (7)
        let keep = settings.max_sessions;
        match app.store.open(&sign_in, &session, keep, replaced.as_ref()).await? {
            Opened::Done(SignedIn { user, is_new }) => {
                return Ok(tokens.answer(app, &session, &user, is_new, now));
            }
            Opened::Superseded { not_before } => now = app.now().max(not_before),
        }
    }
    let reason = "sessions are ended faster than one can begin".to_owned();
    Err(Error::StorageUnavailable(session::Error { reason }))
}

/// All sessions may be ended between the moment at which a token is issued and the one at which its session is written;
/// then it is issued anew. Twice in a row is no coincidence.
const ATTEMPTS: u32 = 2;

/// `POST /session/refresh`.
///
/// 1. Reads the refresh token, or takes the cookie: 400, 408, 413, 415.
/// 2. Checks that it is one of ours: 401 `refresh_rejected`, or 429 for a client that sends many that are not. Only they
///    count by address: thousands of people may share one, and one of them must not lock the others out.
/// 3. Counts the session's refreshes: 429.
/// 4. Spends it, in one step: 401 `refresh_rejected` · `refresh_reused`, 503 `storage_unavailable`.
/// 5. Signs a session token. Time and number are those of the first use, so that a token which is spent
///    again within the grace gives the same answer.
pub(super) async fn refresh<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let settings = app.settings;
    // (1)
    let is_bare = settings.cookies && request.body().is_empty();
    if is_bare {
        // A body that was left unread for its length is empty, too.
        body::check_size(request)?;
    }
    let posted = if is_bare { None } else { body::read::<RefreshBody>(request)?.refresh_token };
    let cookie = refresh_cookie(app, request.headers())?;
    // (2)
    let token = match (posted, cookie) {
        (Some(_), Some(_)) => return Err(Error::AmbiguousCredentials),
        (Some(text), None) => settings.refresh_key.accept(&text),
        (None, None) if !settings.cookies => {
            let missing =
                "refreshToken is missing: send what the last sign-in or refresh answered.";
            return Err(Error::InvalidRequest(missing));
        }
        (None, cookie) => cookie,
    };
    let Some(token) = token else {
        // A page asks so at each visit of somebody who is not signed in: without any token, nothing was tried.
        if is_bare && !cookie::any(request.headers())? {
            return Err(Error::RefreshRejected);
        }
        limit::unproven_refresh(app, request.headers()).await?;
        return Err(Error::RefreshRejected);
    };
    // (3)
    limit::by_owner(app, Limit::Refreshes, &token.sid).await?;
    // (4)
    let now = app.now();
    let (session, user) = match app.store.refresh(&token, &settings.lifetimes, now).await? {
        Refreshed::Done(found) => *found,
        Refreshed::Reused => return Err(Error::RefreshReused(token.sid)),
        Refreshed::Rejected => return Err(Error::RefreshRejected),
    };
    // It began when `PI_APP_ID` was not set, or was another one: perhaps with another app's token.
    if settings.pi_app_id.is_some() && session.app_id != settings.pi_app_id {
        app.store.revoke(&session.sid, app.now()).await?;
        return Err(Error::RefreshRejected);
    }
    // (5)
    let tokens = Tokens::issue(app, &session, &user.scopes, user.username.as_deref()).await?;
    Ok(tokens.answer(app, &session, &user, false, now))
}

/// What a session gets when it begins and at each refresh: made of the session alone, so that the same session
/// always gets the same.
struct Tokens {
    session: String,
    refresh: String,
}

impl Tokens {
    async fn issue<P: Ports>(
        app: &App<'_, P>,
        session: &Session,
        scopes: &[String],
        username: Option<&str>,
    ) -> Result<Self, Error> {
        let (settings, refreshes) = (app.settings, session.refreshes);
        let jti = Identifier::parse(format!("{}-{refreshes}", session.sid))
            .ok_or(Error::Internal("the session id is too long for a token id"))?;
        let claims = Claims {
            iss: settings.policy.issuer.clone(),
            aud: settings.policy.audience.clone(),
            sub: session.uid.clone(),
            sid: session.sid.clone(),
            iat: session.last_seen_at,
            exp: session.token_expires_at,
            nbf: None,
            auth_time: session.created_at,
            jti,
            scope: scopes.join(" "),
            preferred_username: username.map(str::to_owned),
            app_bound: session.app_id.is_some(),
        };
        let token = RefreshToken { sid: session.sid.clone(), refreshes };
        Ok(Self {
            session: sign(app, jwt::signing_input(&claims, settings.keys.active())).await?,
            refresh: settings.refresh_key.issue(&token),
        })
    }

    fn answer<P: Ports>(
        &self,
        app: &App<'_, P>,
        session: &Session,
        user: &User,
        is_new: bool,
        now: UnixTime,
    ) -> Response<Vec<u8>> {
        let expires_in = session.token_expires_at.since(now);
        let answer = TokenAnswer {
            session_token: &self.session,
            token_type: "Bearer",
            expires_in,
            expires_at: session.token_expires_at.to_rfc3339(),
            refresh_token: &self.refresh,
            refresh_expires_at: session.expires_at.to_rfc3339(),
            user: UserJson::new(user, Some(is_new)),
        };
        let mut response = body::json(StatusCode::OK, &answer);
        if app.settings.cookies {
            let headers = response.headers_mut();
            Cookie::Session.set(headers, &self.session, expires_in);
            Cookie::Refresh.set(headers, &self.refresh, session.expires_at.since(now));
        }
        response
    }
}

/// `GET /session`: 200, or 401 as soon as the session has ended.
pub(super) async fn show<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let claims = claims(app, request)?;
    let user = app.store.user(&claims.sid, app.now()).await?.ok_or(Error::SessionRevoked)?;
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

/// `DELETE /session`: 204. Where there are cookies, the refresh cookie also says which session it is, for the
/// session cookie is gone after minutes.
pub(super) async fn sign_out<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let sid = match claims(app, request) {
        Ok(claims) => claims.sid,
        Err(error @ (Error::SessionMissing | Error::SessionExpired | Error::SessionInvalid(_))) => {
            refresh_cookie(app, request.headers())?.ok_or(error)?.sid
        }
        Err(error) => return Err(error),
    };
    if app.store.revoke(&sid, app.now()).await? {
        Ok(cookie::cleared(app.settings, body::none()))
    } else {
        Err(Error::SessionRevoked)
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
