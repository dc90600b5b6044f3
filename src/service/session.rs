//! `/session`: signing in with Pi's access token, refreshing, and signing out.

use http::{HeaderMap, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    App, Entropy, Error, Ports, Warning, body,
    cookie::{self, Cookie},
    credential::{claims, refresh_cookie},
    idempotency,
    limit::{self, Limit},
    signer::{Signer as _, sign},
    user::UserJson,
};
use crate::{
    dpop::{self, Proof},
    identifier::Identifier,
    json,
    jwt::{self, Claims},
    pi::{self, AccessToken},
    secret::Secret,
    session::{
        self, Device, Opened, RefreshToken, Refreshed, Session, SignIn, SignedIn, Store as _, Use,
        User,
    },
    time::UnixTime,
};

/// Pi's whole AuthResult may be posted. Its `user` is whatever the browser says, and is not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignInBody {
    access_token: Secret,
    /// The thumbprint of the key to which the refresh token is bound (RFC 9449 §10).
    #[serde(default, deserialize_with = "json::present")]
    dpop_jkt: Option<Identifier>,
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
/// 1. Reads the access token, and the thumbprint of the client's key if it has one: 400, 408, 413, 415.
/// 2. Counts the client's attempts, for Pi will be asked: 429.
/// 3. Asks Pi whose it is: 401 `access_token_rejected`, 502, 503, 504.
/// 4. Checks that it was made for this app: 403 `wrong_app`.
/// 5. Counts the user's sign-ins: 429.
/// 6. Signs the session token, so that nothing is written that could not be answered.
/// 7. Writes the user and the session, both or neither: 503 `storage_unavailable`. A repeat, by its `Idempotency-Key`, finds
///    the session that the lost answer had begun.
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
    if body.dpop_jkt.as_ref().is_some_and(|jkt| !dpop::is_thumbprint(jkt)) {
        return Err(Error::InvalidRequest(
            "dpopJkt is not the SHA-256 thumbprint of a public key (RFC 7638), in base64url.",
        ));
    }
    let key = idempotency::key(request.headers())?;
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
    let is_curtailed = user.is_curtailed;
    let sign_in = SignIn { uid: user.uid, username: user.username, scopes: user.scopes };
    let mut now = app.now();
    // A repeat brings the same access token. A client that names each sign-in alike begins a new session with each token.
    let mut id = key.map_or(entropy.id(), |key| {
        idempotency::id("session", &sign_in.uid, &key, &token.digest())
    });
    for _ in 0..ATTEMPTS {
        // (6)
        let device = device(request.headers());
        let session = Session::begin(
            id.clone(),
            sign_in.uid.clone(),
            settings.pi_app_id.clone(),
            body.dpop_jkt.clone(),
            device,
            now,
            &settings.lifetimes,
        );
        let username = sign_in.username.as_deref();
        let tokens = Tokens::issue(app, &session, &sign_in.scopes, username).await?;
        // (7)
        let (keep, replaced) = (settings.max_sessions, replaced.as_ref().filter(|sid| **sid != id));
        match app.store.open(&sign_in, &session, keep, replaced).await? {
            Opened::Done(SignedIn { user, is_new }) => {
                let mut response = tokens.answer(app, &session, &user, is_new, now);
                if is_curtailed {
                    response.extensions_mut().insert(Warning(CURTAILED));
                }
                return Ok(response);
            }
            Opened::Repeated(found) if found.0.thumbprint == body.dpop_jkt => {
                let (session, SignedIn { user, is_new }) = *found;
                let username = user.username.as_deref();
                let tokens = Tokens::issue(app, &session, &user.scopes, username).await?;
                return Ok(tokens.answer(app, &session, &user, is_new, app.now()));
            }
            Opened::Repeated(_) | Opened::Taken => id = entropy.id(),
            Opened::Superseded { not_before } => now = app.now().max(not_before),
        }
    }
    let reason = "sessions are ended faster than one can begin".to_owned();
    Err(Error::StorageUnavailable(session::Error { reason }))
}

/// All sessions may be ended between the moment at which a token is issued and the one at which its session is written, and
/// a key may name a session that is in use: then another is issued. Both may happen to one request, but neither twice.
const ATTEMPTS: u32 = 3;

/// `POST /session/refresh`.
///
/// 1. Reads the refresh token, or takes the cookie: 400, 408, 413, 415.
/// 2. Checks that it is one of ours: 401 `refresh_rejected`, or 429 for a client that sends many that are not. Only they
///    count by address: thousands of people may share one, and one of them must not lock the others out.
/// 3. Checks the proof of the client's key, if it sent one (RFC 9449): 401 `invalid_dpop_proof`.
/// 4. Counts the session's refreshes: 429. Those with another key, or with none, count apart: a thief must not use up what
///    the owner needs.
/// 5. Checks that the proof was made just now, by the issuer's time or for its nonce: 401 `use_dpop_nonce`.
/// 6. Spends it, in one step: 401 `refresh_rejected` · `refresh_reused` · `invalid_dpop_proof`, 503 `storage_unavailable`.
/// 7. Signs a session token. Time and number are those of the first use, so that a token which is spent again gives the
///    same answer.
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
    let key = idempotency::key(request.headers())?;
    // (3)
    let proof = proven(app, request).await?;
    // (4)
    let thumbprint = proof.as_ref().map(Proof::thumbprint);
    limit::refreshes(app, &token.sid, thumbprint).await?;
    // (5)
    let now = app.now();
    if proof.as_ref().is_some_and(|proof| !proof.is_fresh(&settings.nonce_key, now)) {
        return Err(Error::UseDpopNonce(settings.nonce_key.issue(now)));
    }
    // (6)
    let with = match &proof {
        Some(proof) => Use::Proven { thumbprint: proof.thumbprint(), jti: &proof.jti },
        None => Use::Plain(key.as_ref()),
    };
    let (session, user) = match app.store.refresh(&token, with, &settings.lifetimes, now).await? {
        Refreshed::Done(found) => *found,
        Refreshed::Reused => return Err(Error::RefreshReused(token.sid)),
        Refreshed::Rejected => return Err(Error::RefreshRejected),
        Refreshed::OtherKey => {
            // With a new key for each request, nothing else would count them together.
            limit::unproven_refresh(app, request.headers()).await?;
            return Err(Error::InvalidDpopProof(Some(token.sid)));
        }
        Refreshed::Replayed => return Err(Error::InvalidDpopProof(None)),
        Refreshed::Crowded => return Err(Error::RateLimited),
    };
    // It began when `PI_APP_ID` was not set, or was another one: perhaps with another app's token.
    if settings.pi_app_id.is_some() && session.app_id != settings.pi_app_id {
        app.store.revoke(&session.sid, app.now()).await?;
        return Err(Error::RefreshRejected);
    }
    // (7)
    let tokens = Tokens::issue(app, &session, &user.scopes, user.username.as_deref()).await?;
    Ok(tokens.answer(app, &session, &user, false, now))
}

/// Neither the name nor the scope is in the log: either may be anything.
const CURTAILED: &str = "the user's name or a scope cannot be shown or stored, so it was left out";

/// The path of [`refresh`], which a proof names.
pub(super) const REFRESH: &str = "/session/refresh";

/// The request's proof, if it has one: for this route, and with a signature that holds. One that does not counts by address:
/// its check is the most costly of the route.
async fn proven<'a, P: Ports>(
    app: &App<'_, P>,
    request: &'a Request<Vec<u8>>,
) -> Result<Option<Proof<'a>>, Error> {
    let mut proofs = request.headers().get_all("dpop").iter();
    let Some(text) = proofs.next() else { return Ok(None) };
    let url = format!("{}{REFRESH}", app.settings.policy.issuer);
    let proof = Proof::read(text.as_bytes(), "POST", &url).filter(|_| proofs.next().is_none());
    if let Some(proof) = proof {
        let holds = app.signer.verifies(&proof.key, proof.signed, &proof.signature).await;
        if holds.ok_or(Error::Internal("the platform did not check a signature"))? {
            return Ok(Some(proof));
        }
    }
    limit::unproven_refresh(app, request.headers()).await?;
    Err(Error::InvalidDpopProof(None))
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
