//! The HTTP service, on plain `http` types and without a platform: sign-in, sessions, the user's own
//! record, keys. Time, randomness, storage, network and signatures are arguments; `worker` supplies them
//! on Cloudflare, and tests supply them on the host.
//!
//! | route | needs | handler |
//! |---|---|---|
//! | `POST /session` | an access token | [`session`] |
//! | `POST /session/refresh` | a refresh token | [`session`] |
//! | `GET`, `DELETE /session` | a session | [`session`] |
//! | `GET`, `DELETE /sessions`, `DELETE /sessions/{sid}` | a session | [`sessions`] |
//! | `GET`, `DELETE /me` | a session | [`me`] |
//! | `GET`, `PUT /me/data` | a session | [`me`] |
//! | `GET /.well-known/jwks.json` | – | [`keys`] |
//! | `GET /products`, `POST /orders`, `GET /orders/{orderId}` | –, a session | [`order`] |
//! | `POST /payments/{paymentId}/approve`, `…/complete`, `…/cancel`, `…/recover`, `GET /payments` | a session | [`payment`] |
//! | `POST /ads/{adId}/claim` | a session | [`ad`] |
//! | `GET /revocations` | – | [`revocations`] |
//! | `POST /introspect`, `POST /revoke-all` | a backend | [`backend`] |
//! | `GET /users/{uid}`, `GET /users/{uid}/payments`, `POST /users/{uid}/revoke` | a backend | [`backend`] |
//! | `POST /notifications` | a backend | [`backend`] |
//! | `GET /openapi.json` | – | [`openapi`] |
//! | `GET /health` | – | here |

mod ad;
mod backend;
mod body;
mod browser;
mod cookie;
mod credential;
mod error;
mod idempotency;
mod keys;
mod limit;
mod me;
mod openapi;
mod order;
mod payment;
mod reconciliation;
mod revocations;
mod session;
mod sessions;
mod settings;
mod signer;
mod sweep;
mod user;

pub use body::TooSlow;
pub use credential::UNREADABLE;
pub use error::Error;
pub use limit::{Limit, Limiter};
pub use reconciliation::{Reconciled, reconcile};
pub use settings::{Environment, Misconfigured, Settings};
pub use signer::Signer;
pub use sweep::sweep;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde::Serialize;

use crate::{identifier::Identifier, pi::Transport, time::UnixTime};

/// All that is kept: users and sessions, orders and payments.
pub trait Store:
    crate::session::Store + crate::payment::Store<Error = crate::session::Error>
{
}

impl<S: crate::session::Store + crate::payment::Store<Error = crate::session::Error>> Store for S {}

/// Tells the time.
pub trait Clock {
    /// The time of this moment. A handler asks for it where it needs it, and again after each wait: what was true before
    /// Pi was asked may no longer be.
    fn now(&self) -> UnixTime;
}

/// The ports: what the service asks for, and leaves to whoever runs it.
pub trait Ports {
    /// What tells the time.
    type Clock: Clock;
    /// What is kept.
    type Store: Store;
    /// The way to Pi.
    type Transport: Transport;
    /// What counts attempts.
    type Limiter: Limiter;
    /// What signs.
    type Signer: Signer;
}

/// What an answer is made from: the settings, and the ports.
pub struct App<'a, P: Ports> {
    /// Parsed once, kept for as long as the process lives.
    pub settings: &'a Settings,
    /// What tells the time.
    pub clock: P::Clock,
    /// What is kept.
    pub store: P::Store,
    /// The way to Pi.
    pub transport: P::Transport,
    /// What counts attempts.
    pub limiter: P::Limiter,
    /// What signs.
    pub signer: P::Signer,
}

impl<P: Ports> App<'_, P> {
    fn now(&self) -> UnixTime {
        self.clock.now()
    }
}

/// The random bytes of one request, from a cryptographically secure generator, by their use.
#[derive(Clone, Copy)]
pub struct Entropy {
    request_id: [u8; 12],
    id: [u8; 16],
}

impl Entropy {
    /// How many bytes a request needs.
    pub const BYTES: usize = 28;

    /// Shares the bytes out: 96 bits name a request in a log, 128 bits a session or an order.
    #[must_use]
    pub fn new(bytes: &[u8; Self::BYTES]) -> Self {
        let (request_id, id) = bytes.split_at(12);
        // The lengths are those of the fields; the defaults are never taken.
        Self {
            request_id: request_id.try_into().unwrap_or_default(),
            id: id.try_into().unwrap_or_default(),
        }
    }

    fn request_id(&self) -> String {
        BASE64URL.encode(self.request_id)
    }

    /// The id of what the request begins: a session, or an order.
    fn id(&self) -> Identifier {
        Identifier::from_entropy(self.id)
    }
}

/// What happened, for the log: an extension of every response. It holds no token and no line break. Of the request's text,
/// it has only an origin that was refused, in printable characters.
#[derive(Clone, Debug)]
pub struct Record {
    /// Also in the response's `X-Request-Id`.
    pub request_id: String,
    /// The route, or `unknown`.
    pub route: &'static str,
    /// The error's code.
    pub code: Option<&'static str>,
    /// The exact reason, which the response does not tell.
    pub reason: Option<String>,
}

/// What an operator should know of a request that went well: an extension of its response.
#[derive(Clone, Copy)]
struct Warning(&'static str);

/// The routes, with what their paths name. `/health` alone works without settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'a> {
    Session,
    Refresh,
    Sessions,
    OneSession { sid: &'a str },
    Me,
    Data,
    Jwks,
    Products,
    Orders,
    OneOrder { id: &'a str },
    Payments,
    OnePayment { id: &'a str, step: payment::Step },
    Ad { id: &'a str },
    Revocations,
    OpenApi,
    Introspect,
    User { uid: &'a str },
    UserPayments { uid: &'a str },
    RevokeUser { uid: &'a str },
    Notifications,
    RevokeAll,
    Health,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/session" => Self::Session,
            session::REFRESH => Self::Refresh,
            "/sessions" => Self::Sessions,
            "/me" => Self::Me,
            "/me/data" => Self::Data,
            "/.well-known/jwks.json" => Self::Jwks,
            "/revocations" => Self::Revocations,
            "/openapi.json" => Self::OpenApi,
            "/products" => Self::Products,
            "/orders" => Self::Orders,
            "/payments" => Self::Payments,
            "/introspect" => Self::Introspect,
            "/notifications" => Self::Notifications,
            "/revoke-all" => Self::RevokeAll,
            "/health" => Self::Health,
            path => Self::of_named(path.strip_prefix('/')?)?,
        })
    }

    /// `collection/name`, and perhaps `/step`.
    fn of_named(path: &'a str) -> Option<Self> {
        let (collection, rest) = path.split_once('/')?;
        let (name, step) = match rest.split_once('/') {
            Some((name, step)) => (name, Some(step)),
            None => (rest, None),
        };
        Some(match (collection, step) {
            ("sessions", None) => Self::OneSession { sid: name },
            ("orders", None) => Self::OneOrder { id: name },
            ("payments", Some(step)) => {
                Self::OnePayment { id: name, step: payment::Step::named(step)? }
            }
            ("ads", Some("claim")) => Self::Ad { id: name },
            ("users", None) => Self::User { uid: name },
            ("users", Some("payments")) => Self::UserPayments { uid: name },
            ("users", Some("revoke")) => Self::RevokeUser { uid: name },
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Session => "/session",
            Self::Refresh => session::REFRESH,
            Self::Sessions => "/sessions",
            Self::OneSession { .. } => "/sessions/{sid}",
            Self::Me => "/me",
            Self::Data => "/me/data",
            Self::Jwks => "/.well-known/jwks.json",
            Self::Products => "/products",
            Self::Orders => "/orders",
            Self::OneOrder { .. } => "/orders/{orderId}",
            Self::Payments => "/payments",
            Self::OnePayment { step, .. } => step.route(),
            Self::Ad { .. } => "/ads/{adId}/claim",
            Self::Revocations => "/revocations",
            Self::OpenApi => "/openapi.json",
            Self::Introspect => "/introspect",
            Self::User { .. } => "/users/{uid}",
            Self::UserPayments { .. } => "/users/{uid}/payments",
            Self::Notifications => "/notifications",
            Self::RevokeUser { .. } => "/users/{uid}/revoke",
            Self::RevokeAll => "/revoke-all",
            Self::Health => "/health",
        }
    }

    /// The methods, as `Allow` lists them.
    const fn methods(self) -> &'static str {
        match self {
            Self::Session => "POST, GET, HEAD, DELETE, OPTIONS",
            Self::Me | Self::Sessions => "GET, HEAD, DELETE, OPTIONS",
            Self::OneSession { .. } => "DELETE, OPTIONS",
            Self::Data => "GET, HEAD, PUT, OPTIONS",
            Self::Jwks
            | Self::Products
            | Self::OneOrder { .. }
            | Self::Payments
            | Self::Revocations
            | Self::OpenApi
            | Self::User { .. }
            | Self::UserPayments { .. }
            | Self::Health => "GET, HEAD, OPTIONS",
            Self::Refresh
            | Self::Orders
            | Self::OnePayment { .. }
            | Self::Ad { .. }
            | Self::Introspect
            | Self::RevokeUser { .. }
            | Self::RevokeAll
            | Self::Notifications => "POST, OPTIONS",
        }
    }
}

/// Answers a request. There is always an answer, and it carries a [`Record`].
pub async fn handle<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Response<Vec<u8>> {
    let route = Route::of(request.uri().path());
    let origin = browser::origin(app.settings, request.headers());
    let answer = match &origin {
        Ok(_) => serve(app, route, request, entropy).await,
        Err(error) => Err(error.clone()),
    };
    finish(answer, route, request, entropy, Some(app.settings), origin.ok().flatten())
}

/// How many bytes of body the request may bring, asked before they are read: none when its answer does not depend on them,
/// which a caller without a valid credential need not be believed to have.
pub fn body_limit<P: Ports>(app: &App<'_, P>, request: &Request<Vec<u8>>) -> usize {
    let is_taken = match (Route::of(request.uri().path()), request.method()) {
        (Some(Route::Session | Route::Refresh), &Method::POST) => {
            browser::origin(app.settings, request.headers()).is_ok()
        }
        (Some(Route::Data), &Method::PUT)
        | (
            Some(Route::Orders | Route::OnePayment { step: payment::Step::Complete, .. }),
            &Method::POST,
        ) => credential::claims(app, request).is_ok(),
        (Some(Route::Introspect | Route::Notifications), &Method::POST) => {
            backend::admit(app, request.headers()).is_ok()
        }
        _ => false,
    };
    if is_taken { body::limit(request.uri().path()) } else { 0 }
}

/// Answers a request when the settings are missing or malformed: only `/health` works.
#[must_use]
pub fn misconfigured(
    setting: &Misconfigured,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Response<Vec<u8>> {
    let route = Route::of(request.uri().path());
    let answer = match (route, request.method()) {
        (Some(Route::Health), &Method::GET | &Method::HEAD) => Ok(health()),
        _ => Err(Error::Misconfigured(setting.clone())),
    };
    finish(answer, route, request, entropy, None, None)
}

/// Answers a request that came to nothing, for a reason that only the log tells. With settings, a page that may call can
/// read it.
#[must_use]
pub fn internal(
    reason: &'static str,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
    settings: Option<&Settings>,
) -> Response<Vec<u8>> {
    let route = Route::of(request.uri().path());
    let origin = settings.and_then(|settings| browser::origin(settings, request.headers()).ok()?);
    finish(Err(Error::Internal(reason)), route, request, entropy, settings, origin)
}

async fn serve<P: Ports>(
    app: &App<'_, P>,
    route: Option<Route<'_>>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Result<Response<Vec<u8>>, Error> {
    let route = route.ok_or(Error::NotFound)?;
    browser::guard_cookies(app.settings, request)?;
    // HEAD is GET without the body, which `finish` takes away.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    match (route, method) {
        (_, &Method::OPTIONS) => Ok(browser::preflight(request.headers(), route.methods())),
        (Route::Session, &Method::POST) => session::sign_in(app, request, entropy).await,
        (Route::Session, &Method::GET) => session::show(app, request).await,
        (Route::Session, &Method::DELETE) => session::sign_out(app, request).await,
        (Route::Refresh, &Method::POST) => session::refresh(app, request).await,
        (Route::Sessions, &Method::GET) => sessions::list(app, request).await,
        (Route::Sessions, &Method::DELETE) => sessions::sign_out_everywhere(app, request).await,
        (Route::OneSession { sid }, &Method::DELETE) => sessions::end_one(app, request, sid).await,
        (Route::Me, &Method::GET) => me::show(app, request).await,
        (Route::Me, &Method::DELETE) => me::erase(app, request).await,
        (Route::Data, &Method::GET) => me::show_data(app, request).await,
        (Route::Data, &Method::PUT) => me::write_data(app, request).await,
        (Route::Jwks, &Method::GET) => keys::jwks(app.settings, request.headers()).await,
        (Route::Products, &Method::GET) => order::products(app, request).await,
        (Route::Orders, &Method::POST) => order::create(app, request, entropy).await,
        (Route::OneOrder { id }, &Method::GET) => order::show(app, request, id).await,
        (Route::Payments, &Method::GET) => payment::list(app, request).await,
        (Route::OnePayment { id, step }, &Method::POST) => {
            payment::take(app, request, id, step).await
        }
        (Route::Ad { id }, &Method::POST) => ad::claim(app, request, id).await,
        (Route::OpenApi, &Method::GET) => openapi::document(request.headers()).await,
        (Route::Revocations, &Method::GET) => revocations::feed(app, request).await,
        (Route::Introspect, &Method::POST) => backend::introspect(app, request).await,
        (Route::User { uid }, &Method::GET) => backend::show_user(app, request, uid).await,
        (Route::RevokeUser { uid }, &Method::POST) => backend::revoke_user(app, request, uid).await,
        (Route::UserPayments { uid }, &Method::GET) => {
            backend::show_payments(app, request, uid).await
        }
        (Route::Notifications, &Method::POST) => backend::notify(app, request).await,
        (Route::RevokeAll, &Method::POST) => backend::revoke_everyone(app, request).await,
        (Route::Health, &Method::GET) => Ok(health()),
        _ => Err(Error::MethodNotAllowed(route.methods())),
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
}

/// That the code runs, whatever its settings and its database say.
fn health() -> Response<Vec<u8>> {
    body::json(StatusCode::OK, &Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// What every reply has, errors included.
fn finish(
    answer: Result<Response<Vec<u8>>, Error>,
    route: Option<Route<'_>>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
    settings: Option<&Settings>,
    origin: Option<HeaderValue>,
) -> Response<Vec<u8>> {
    let request_id = entropy.request_id();
    let with_cookies = settings.is_some_and(|settings| settings.cookies);
    let (code, reason, ends_cookies) = match &answer {
        Ok(response) => {
            let warning = response.extensions().get::<Warning>();
            (None, warning.map(|warning| warning.0.to_owned()), false)
        }
        Err(error) => {
            // Two cookies of one name are two that a browser keeps apart. Both must go, or nobody gets in again.
            let has_twins = with_cookies && cookie::any(request.headers()).is_err();
            (Some(error.code()), error.reason(), error.ends_cookies() || has_twins)
        }
    };
    let mut response = answer.unwrap_or_else(|error| error.response(&request_id));
    if with_cookies && ends_cookies {
        cookie::clear(response.headers_mut());
    }
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert("x-request-id", value);
    }
    browser::protect(headers);
    browser::allow(headers, origin, with_cookies);
    if request.method() == Method::HEAD {
        response.body_mut().clear();
    }
    let route = route.map_or("unknown", Route::name);
    response.extensions_mut().insert(Record { request_id, route, code, reason });
    response
}
