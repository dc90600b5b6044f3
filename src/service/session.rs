//! `/session`: signs in with Pi's access token, refreshes the session, shows it, and signs out.

use http::{HeaderMap, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    answer,
    app::{App, Entropy, Ports},
    attempts, body,
    cookie::{self, Cookie},
    credential::{claims, live, refresh_cookie},
    error::Error,
    idempotency,
    limit::Limit,
    log::Warning,
    signer::Signer as _,
    tally::{Count, Sum},
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

/// A client may post Pi's whole AuthResult. Its `user` is not read, because a browser can forge it.
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
struct TokensJson<'a> {
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
struct SessionJson<'a> {
    sid: &'a str,
    uid: &'a str,
    issued_at: String,
    expires_at: String,
    user: UserJson<'a>,
}

/// `POST /session`.
///
/// 1. Reads the access token, and the thumbprint of the client's key if it has one: 400, 408, 413,
///    415.
/// 2. Counts the client's attempts, because Pi will be asked: 429.
/// 3. Asks Pi which user the token belongs to: 401 `access_token_rejected`, 502, 503, 504.
/// 4. Checks that the token was issued for this app: 403 `wrong_app`.
/// 5. Counts the user's sign-ins: 429.
/// 6. Signs the session token before anything is written, because signing may fail.
/// 7. Writes the user and the session, both or neither: 403 `user_blocked`, 503
///    `storage_unavailable`. A repeat, by its `Idempotency-Key`, finds the session of the lost
///    answer.
pub(super) async fn sign_in<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Result<Response<Vec<u8>>, Error> {
    let settings = app.settings;
    // (1)
    let body: SignInBody = body::json(request, body::MAX_BYTES)?;
    let token = AccessToken::parse(body.access_token).ok_or(Error::InvalidRequest(
        "accessToken is not an access token. Send the one that Pi.authenticate returns.",
    ))?;
    if body.dpop_jkt.as_ref().is_some_and(|jkt| !dpop::is_thumbprint(jkt)) {
        return Err(Error::InvalidRequest(
            "dpopJkt is not a thumbprint. Send the SHA-256 thumbprint of the public key (RFC 7638), in base64url.",
        ));
    }
    let key = idempotency::key(request.headers())?;
    // (2)
    attempts::by_address(app, Limit::SignIns, request.headers()).await?;
    // (3)
    let user = pi::me(&app.transport, &settings.pi_api_base, &token, || app.now()).await?;
    // (4) `/v2/me` accepts the tokens of every Pi app. Only `app_id` distinguishes them.
    if settings.pi_app_id.is_some() && user.app_id != settings.pi_app_id {
        return Err(Error::WrongApp);
    }
    app.note(|facts| facts.uid = Some(user.uid.clone()));
    // (5)
    attempts::by_owner(app, Limit::UserSignIns, &user.uid).await?;
    // The previous session of this browser is revoked: the new one takes nothing from it.
    let replaced = refresh_cookie(app, request.headers())?.map(|token| token.sid);
    let is_curtailed = user.is_curtailed;
    let named = user.app_id.filter(|id| settings.pi_app_id.is_none() && is_plain(id));
    let sign_in = SignIn { uid: user.uid, username: user.username, scopes: user.scopes };
    let mut now = app.now();
    // A repeat has the same access token. A client that sends one key with every sign-in still gets
    // a new session with each new token.
    let mut id = key.map_or(entropy.id(&sign_in.uid), |key| {
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
                    response.extensions_mut().insert(Warning(CURTAILED.into()));
                } else if let Some(app_id) = &named {
                    let who = settings.log_ids.then_some(&user);
                    response.extensions_mut().insert(Warning(unbound(app_id, who).into()));
                }
                return Ok(response);
            }
            Opened::Repeated(found) if found.0.thumbprint == body.dpop_jkt => {
                let (session, SignedIn { user, is_new }) = *found;
                let username = user.username.as_deref();
                let tokens = Tokens::issue(app, &session, &user.scopes, username).await?;
                return Ok(tokens.answer(app, &session, &user, is_new, app.now()));
            }
            Opened::Repeated(_) | Opened::Taken => id = entropy.id(&sign_in.uid),
            Opened::Blocked => return Err(Error::UserBlocked),
            Opened::Superseded { not_before } => now = app.now().max(not_before),
        }
    }
    let reason = "sessions are revoked faster than one can be opened".to_owned();
    Err(Error::StorageUnavailable(session::Error { reason }))
}

/// Whether the log may name this app: a text of Pi's that no reader of a log can take for another.
fn is_plain(app_id: &str) -> bool {
    const MAX_BYTES: usize = 128; // ids have a fifth of that
    app_id.len() <= MAX_BYTES && app_id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Tells the operator the app of an access token while PI_APP_ID is not set. Tokens of any Pi app
/// are accepted then, so the operator must know whose sign-in this was.
fn unbound(app_id: &str, user: Option<&User>) -> String {
    let who = user.map(|user| user.username.as_deref().unwrap_or(user.uid.as_str()));
    let who = who.unwrap_or("a user");
    format!(
        "Pi names the app_id {app_id} for the access token of {who}: if that is you, set PI_APP_ID to it"
    )
}

/// How often a sign-in tries to open a session. All sessions may be revoked between the signing of
/// a token and the writing of its session, and an `Idempotency-Key` may name a session that is in
/// use. Both may happen to one request, but neither twice.
const ATTEMPTS: u32 = 3;

/// `POST /session/refresh`.
///
/// 1. Reads the refresh token from the body or the cookie: 400, 408, 413, 415.
/// 2. Checks that this Worker issued it: 401 `refresh_rejected`, or 429 for a client that sends
///    many others. Only those count by address: thousands of people may share an address, and one
///    of them must not lock the others out.
/// 3. Checks the proof of the client's key, if there is one (RFC 9449): 401 `invalid_dpop_proof`.
/// 4. Counts the session's refreshes: 429. Refreshes with another key, or without one, count
///    separately: a thief must not use up the limit of the owner.
/// 5. Checks that the proof was made just now, by the issuer's time or for its nonce: 401
///    `use_dpop_nonce`.
/// 6. Spends the refresh token in one step: 401 `refresh_rejected`, `refresh_reused` or
///    `invalid_dpop_proof`, 503 `storage_unavailable`.
/// 7. Signs a session token. Its time and number are those of the first use, so that a repeat
///    returns the same answer.
pub(super) async fn refresh<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let settings = app.settings;
    // (1)
    let is_bare = settings.cookies && request.body().is_empty();
    if is_bare {
        // An empty body may be one that was left unread because of its announced length.
        body::check_size(request, body::MAX_BYTES)?;
    }
    let posted = if is_bare {
        None
    } else {
        body::json::<RefreshBody>(request, body::MAX_BYTES)?.refresh_token
    };
    let cookie = refresh_cookie(app, request.headers())?;
    // (2)
    let token = match (posted, cookie) {
        (Some(_), Some(_)) => return Err(Error::AmbiguousCredentials),
        (Some(text), None) => settings.refresh_key.accept(&text),
        (None, None) if !settings.cookies => {
            return Err(Error::InvalidRequest(
                "refreshToken is missing. Send the one from the last sign-in or refresh.",
            ));
        }
        (None, cookie) => cookie,
    };
    let Some(token) = token else {
        // A page sends such a request at each visit of a user who is not signed in. Without any
        // token, it is no attempt.
        if is_bare && !cookie::any(request.headers())? {
            return Err(Error::RefreshRejected);
        }
        attempts::unproven_refresh(app, request.headers()).await?;
        return Err(Error::RefreshRejected);
    };
    app.note(|facts| facts.sid = Some(token.sid.clone()));
    let key = idempotency::key(request.headers())?;
    // (3)
    let proof = proven(app, request).await?;
    // (4)
    let thumbprint = proof.as_ref().map(Proof::thumbprint);
    attempts::refreshes(app, &token.sid, thumbprint).await?;
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
        Refreshed::Reused => return Err(Error::RefreshReused),
        Refreshed::Rejected => return Err(Error::RefreshRejected),
        Refreshed::OtherKey => {
            // A thief may use a new key for each request, so only the address counts them together.
            attempts::unproven_refresh(app, request.headers()).await?;
            return Err(Error::RefreshOtherKey);
        }
        Refreshed::Replayed => return Err(Error::InvalidDpopProof),
        Refreshed::Crowded => return Err(Error::RateLimited),
    };
    // The session was opened while `PI_APP_ID` was not set or was another one, perhaps with the
    // token of another app.
    if settings.pi_app_id.is_some() && session.app_id != settings.pi_app_id {
        app.store.revoke(&session.sid, app.now()).await?;
        return Err(Error::RefreshRejected);
    }
    // (7)
    let tokens = Tokens::issue(app, &session, &user.scopes, user.username.as_deref()).await?;
    app.count(Count::Refresh, Sum { n: 1, total: 0 });
    Ok(tokens.answer(app, &session, &user, false, now))
}

/// The log contains neither the name nor the scope, because they may be any text.
const CURTAILED: &str = "the user's name or a scope cannot be shown or stored, so it was left out";

/// The request's proof, if it has one: for this route, and with a valid signature. An invalid proof
/// counts by address, because its check is the most expensive one of the route.
async fn proven<'a, P: Ports>(
    app: &App<'_, P>,
    request: &'a Request<Vec<u8>>,
) -> Result<Option<Proof<'a>>, Error> {
    let mut proofs = request.headers().get_all("dpop").iter();
    let Some(text) = proofs.next() else { return Ok(None) };
    let url = format!("{}{}", app.settings.policy.issuer, request.uri().path());
    let proof = Proof::read(text.as_bytes(), "POST", &url).filter(|_| proofs.next().is_none());
    if let Some(proof) = proof {
        let is_valid = app.signer.verifies(&proof.key, proof.signed, &proof.signature).await;
        if is_valid.ok_or(Error::Internal("the platform did not check a signature"))? {
            return Ok(Some(proof));
        }
    }
    attempts::unproven_refresh(app, request.headers()).await?;
    Err(Error::InvalidDpopProof)
}

/// The tokens of a session. They derive from the session only, so a repeated request returns the
/// same tokens.
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
            session: app.sign(jwt::signing_input(&claims, settings.keys.active())).await?,
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
        app.note(|facts| {
            facts.uid = Some(session.uid.clone());
            facts.sid = Some(session.sid.clone());
            facts.is_new = Some(is_new);
            facts.app_bound = Some(session.app_id.is_some());
        });
        let expires_in = session.token_expires_at.since(now);
        let tokens = TokensJson {
            session_token: &self.session,
            token_type: "Bearer",
            expires_in,
            expires_at: session.token_expires_at.to_rfc3339(),
            refresh_token: &self.refresh,
            refresh_expires_at: session.expires_at.to_rfc3339(),
            user: UserJson::new(user, Some(is_new)),
        };
        let mut response = answer::json(StatusCode::OK, &tokens);
        if app.settings.cookies {
            let headers = response.headers_mut();
            Cookie::Session.set(headers, &self.session, expires_in);
            Cookie::Refresh.set(headers, &self.refresh, session.expires_at.since(now));
        }
        response
    }
}

/// `GET /session`: 200, or 401 as soon as the session is revoked.
pub(super) async fn show<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let claims = claims(app, request)?;
    let user = live(app, &claims, app.store.user(&claims.sid, app.now()).await?)?;
    Ok(answer::json(
        StatusCode::OK,
        &SessionJson {
            sid: claims.sid.as_str(),
            uid: claims.sub.as_str(),
            issued_at: claims.iat.to_rfc3339(),
            expires_at: claims.exp.to_rfc3339(),
            user: UserJson::new(&user, None),
        },
    ))
}

/// `DELETE /session`: 204. With cookies, the refresh cookie also names the session, because the
/// session cookie expires after minutes.
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
    app.note(|facts| facts.sid = Some(sid.clone()));
    if app.store.revoke(&sid, app.now()).await? {
        Ok(cookie::cleared(app.settings, answer::no_content()))
    } else {
        Err(Error::SessionRevoked)
    }
}

/// A person would not read more of a user agent in a list of sessions.
const MAX_USER_AGENT_CHARACTERS: usize = 200;

/// The browser that the request names, and the country that Cloudflare adds (`CF-IPCountry`).
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
