//! What the app's own backends may ask: [`introspect`], a user's record, and ending sessions. They present a
//! credential of which only the hash is known here.

use std::collections::BTreeMap;

use http::{HeaderMap, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::{App, Error, Misconfigured, Ports, body, credential, payment, user};
use crate::{
    identifier::Identifier,
    json,
    jwt::Claims,
    payment::Store as _,
    pi::{self, Notification},
    session::Store as _,
};

/// The SHA-256 hashes of the credentials, by the backends' names. A credential is random and long, so its hash need not
/// be slow.
#[derive(Debug)]
pub(super) struct Credentials(BTreeMap<String, [u8; 32]>);

impl Credentials {
    /// Reads `{"name":"<64 hex digits>", …}`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let hashes: BTreeMap<String, String> = json::object(text.as_bytes()).ok()?;
        let hashes = hashes.into_iter().map(|(name, hash)| Some((name, from_hex(&hash)?)));
        Some(Self(hashes.collect::<Option<_>>()?))
    }

    /// Compares with every hash, in the same time wherever it differs and whichever it is.
    fn admit(&self, credential: &[u8]) -> bool {
        let hash: [u8; 32] = Sha256::digest(credential).into();
        let is_any =
            self.0.values().fold(Choice::from(0), |found, known| found | known.ct_eq(&hash));
        is_any.into()
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let (digits, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = digits.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    if rest.is_empty() { bytes.try_into().ok() } else { None }
}

/// Checks the backend's credential: 400 `ambiguous_credentials`, 401 `backend_rejected`, 500 `misconfigured` when
/// there are no credentials at all.
pub(super) fn admit<P: Ports>(app: &App<'_, P>, headers: &HeaderMap) -> Result<(), Error> {
    let credentials = app.settings.backends.as_ref().ok_or_else(|| {
        let problem = "is missing, and the routes of backends need it".to_owned();
        Error::Misconfigured(Misconfigured { setting: "BACKEND_CREDENTIALS", problem })
    })?;
    let credential = credential::bearer(headers)?.ok_or(Error::BackendRejected)?;
    if credentials.admit(credential) { Ok(()) } else { Err(Error::BackendRejected) }
}

/// [RFC 7662] §2.2.
///
/// [RFC 7662]: https://www.rfc-editor.org/rfc/rfc7662
#[derive(Serialize)]
struct Introspection {
    active: bool,
    #[serde(flatten)]
    claims: Option<Claims>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
}

/// `POST /introspect`: 200, with the claims when the token holds and its session is live. Why another one is not
/// active, it does not say (RFC 7662 §2.2).
pub(super) async fn introspect<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    admit(app, request.headers())?;
    let token = body::read_form(request, "token")?;
    let claims = match credential::verified(app, token.as_bytes()) {
        Ok(claims) if app.store.user(&claims.sid, app.now()).await?.is_some() => Some(claims),
        _ => None,
    };
    let username = claims.as_ref().and_then(|claims| claims.preferred_username.clone());
    let token_type = claims.is_some().then_some("Bearer");
    let active = claims.is_some();
    Ok(body::json(StatusCode::OK, &Introspection { active, claims, username, token_type }))
}

/// `GET /users/{uid}`: 200 with the user's record, as `GET /me` shows it; 404.
pub(super) async fn show_user<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    admit(app, request.headers())?;
    let uid = parse(uid)?;
    let (user, data) = app.store.record_of_user(&uid).await?.ok_or(Error::NotFound)?;
    user::record(&user, &app.store.purchases(&uid).await?, data)
}

/// `GET /users/{uid}/payments`: 200 with the user's payments, as `GET /payments` shows them.
pub(super) async fn show_payments<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    admit(app, request.headers())?;
    payment::list_of(app, &parse(uid)?).await
}

/// `POST /notifications`: 200 with the users whom Pi says it reached. Who has not agreed to notifications is not among
/// them. Of some, Pi's word may be missing: they may have got theirs, so they are counted apart, not to be sent again.
pub(super) async fn notify<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    admit(app, request.headers())?;
    let NotificationsBody { notifications } = body::read(request)?;
    let is_sound = |notification: &NotificationJson| {
        let NotificationJson { title, body, subroute, .. } = notification;
        !title.is_empty() && !body.is_empty() && subroute.starts_with('/')
    };
    if !(1..=MAX_NOTIFICATIONS).contains(&notifications.len())
        || !notifications.iter().all(is_sound)
    {
        return Err(Error::InvalidRequest(
            "notifications must be 1 to 256, each with title, body, userUid and a subroute that begins with a slash.",
        ));
    }
    let notifications = notifications.into_iter().map(|notification| Notification {
        title: notification.title,
        body: notification.body,
        user_uid: notification.user_uid,
        subroute: notification.subroute,
    });
    let notifications: Vec<Notification> = notifications.collect();
    let (base, key) = (&app.settings.pi_api_base, payment::key(app)?);
    let (requested, mut delivered_to, mut confirmed) = (notifications.len(), Vec::new(), 0);
    for some in notifications.chunks(NOTIFICATIONS_AT_ONCE) {
        match pi::notify(&app.transport, base, key, some).await {
            Ok(reached) => delivered_to.extend(reached),
            Err(pi::Error::Unreachable(_) | pi::Error::Unreadable(_)) => break,
            // Nothing of it has gone out, and nothing before it.
            Err(error) if confirmed == 0 => return Err(error.into()),
            Err(_) => break,
        }
        confirmed += some.len();
    }
    let (delivered, unconfirmed) = (delivered_to.len(), requested - confirmed);
    let answer = NotifiedJson { requested, delivered, delivered_to, unconfirmed };
    Ok(body::json(StatusCode::OK, &answer))
}

/// As many as Pi takes at once.
const MAX_NOTIFICATIONS: usize = 256;

/// Pi's answer repeats every message, and no more than 64 KiB of it are read: room for messages of 1 KiB.
const NOTIFICATIONS_AT_ONCE: usize = 48;

#[derive(Deserialize)]
struct NotificationsBody {
    notifications: Vec<NotificationJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NotificationJson {
    title: String,
    body: String,
    #[serde(alias = "user_uid")]
    user_uid: Identifier,
    subroute: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NotifiedJson {
    requested: usize,
    delivered: usize,
    delivered_to: Vec<Identifier>,
    unconfirmed: usize,
}

/// `POST /users/{uid}/revoke`: 204; ends all sessions of the user. One who is not known, or was erased, has none.
pub(super) async fn revoke_user<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    admit(app, request.headers())?;
    app.store.revoke_user(&parse(uid)?, app.now()).await?;
    Ok(body::none())
}

/// `POST /revoke-all`: 204; ends all sessions of all users.
pub(super) async fn revoke_everyone<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    admit(app, request.headers())?;
    app.store.revoke_everyone(app.now()).await?;
    Ok(body::none())
}

fn parse(uid: &str) -> Result<Identifier, Error> {
    Identifier::parse(uid.to_owned()).ok_or(Error::NotFound)
}
