//! The HTTP service, on plain `http` types and without a platform: sign-in, sessions, users'
//! records and data, payments, keys, revocations and operators. Time, randomness, storage, network
//! and signatures are arguments; `worker` supplies them on Cloudflare, and tests supply them on the
//! host.
//!
//! This file is the way in. A request goes from here through the table of routes ([`route`]) to a
//! handler, and its response comes back here for the headers and the log entry of every response.
//! Imports point in that direction only.

mod ad;
mod admin;
mod answer;
mod app;
mod attempts;
mod backend;
mod backends;
mod body;
mod browser;
mod cookie;
mod counts;
mod credential;
mod credential_hash;
mod data;
mod error;
mod event;
mod feed;
mod fresh;
mod health;
mod idempotency;
mod keys;
mod limit;
mod log;
mod memory;
mod notification;
mod openapi;
mod order;
mod payment;
mod payment_list;
mod pi_calls;
mod problem;
mod reconciliation;
mod revocations;
mod route;
mod session;
mod session_list;
mod settings;
mod settlement;
mod signer;
mod store;
mod sweep;
mod tally;
mod user;

pub use admin::console::ConsoleFile;
pub use admin::deeds::{Deed, Deeds};
pub use admin::records::{
    AuditRow, Entries, Figures, MAX_LIVE_PAID, MAX_STUCK, Mark, Number, OrderRow, Page, PaymentRow,
    Period, Position, Records, Schema, Stuck, UserRow, Which,
};
pub use answer::Repeatable;
pub use app::{App, Clock, Entropy, Ports};
pub use body::TooSlow;
pub use counts::{keep_counts, write_counts};
pub use credential::UNREADABLE;
pub use error::Error;
pub use event::Event;
pub use limit::{Limit, Limiter};
pub use log::{Facts, LogEntry, Spent};
pub use memory::Memory;
pub use pi_calls::{PiCall, PiCalls};
pub use problem::Code;
pub use reconciliation::{Reconciled, reconcile};
pub use route::{Caller, body_limit};
#[cfg(not(target_arch = "wasm32"))]
pub use route::{OPERATIONS, Operation};
pub use settings::{Environment, Misconfigured, Serves, Settings};
pub use signer::Signer;
pub use store::{Account, Counts, Draft, Marks, Placed, Store};
pub use sweep::sweep;
pub use tally::{Count, Counted, DAYS_KEPT, HOURS_KEPT, Sum};

use http::{HeaderValue, Method, Request, Response, header};

use admin::console;
use log::Warning;
use route::{Route, origin, serve};

/// Answers a request. There is always a response, and it carries a [`LogEntry`].
pub async fn handle<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Response<Vec<u8>> {
    let route = Route::served(app.settings, request.uri().path());
    let origin = origin(app.settings, route, request.headers());
    let answer = match &origin {
        Ok(_) => serve(app, route, request, entropy).await,
        Err(error) => Err(error.clone()),
    };
    app.count_refusal(&answer);
    let spent = app.clock.spent();
    app.count_spent(&spent);
    let noted = (app.facts.take(), Some(spent));
    finish(answer, route, request, entropy, Some(app.settings), origin.ok().flatten(), noted)
}

/// Answers a request while a setting is missing or malformed: only `/health` works.
#[must_use]
pub fn misconfigured(
    setting: &Misconfigured,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Response<Vec<u8>> {
    let route = Route::of(request.uri().path());
    let answer = match (route, request.method()) {
        (Some((Route::Health, _)), &Method::GET | &Method::HEAD) => Ok(health::response()),
        _ => Err(Error::Misconfigured(setting.clone())),
    };
    finish(answer, route, request, entropy, None, None, Default::default())
}

/// Answers a request that failed for a reason that goes to the log only. With settings, a page of
/// an allowed origin can read the response.
#[must_use]
pub fn internal(
    reason: &'static str,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
    settings: Option<&Settings>,
) -> Response<Vec<u8>> {
    let route = Route::of(request.uri().path());
    let origin = settings.and_then(|settings| origin(settings, route, request.headers()).ok()?);
    let answer = Err(Error::Internal(reason));
    finish(answer, route, request, entropy, settings, origin, Default::default())
}

/// Adds the headers and the log entry of every response, errors included.
fn finish(
    answer: Result<Response<Vec<u8>>, Error>,
    route: Option<(Route, &str)>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
    settings: Option<&Settings>,
    origin: Option<HeaderValue>,
    (facts, spent): (Facts, Option<Spent>),
) -> Response<Vec<u8>> {
    let request_id = entropy.request_id();
    let has = |switch: fn(&Settings) -> bool| settings.is_some_and(switch);
    let with_cookies = has(|settings| settings.cookies);
    let (event, code, reason, ends_cookies) = match &answer {
        Ok(response) => {
            let event = facts.event.unwrap_or_else(|| route::event(route, request.method()));
            let warning = response.extensions().get::<Warning>();
            (event, None, warning.map(|warning| warning.0.clone().into_owned()), false)
        }
        Err(error) => {
            // A browser may store two cookies with one name. Both must go, or the user can never
            // sign in again.
            let has_duplicates = with_cookies && cookie::any(request.headers()).is_err();
            let ends_cookies = error.ends_cookies() || has_duplicates;
            (error.event(), Some(error.code().name()), error.reason(), ends_cookies)
        }
    };
    let mut response = answer.unwrap_or_else(|error| error.response(&request_id));
    if with_cookies && ends_cookies {
        cookie::clear(response.headers_mut());
    }
    let is_console = response.extensions().get::<ConsoleFile>().is_some();
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert("x-request-id", value);
    }
    browser::protect(headers);
    if is_console {
        console::protect(headers);
    }
    let is_poll = event == Event::PollServed && reason.is_none();
    // Not on a poll, whose answer may be repeated.
    if let Some(spent) = spent
        && !is_poll
        && has(|settings| settings.environment == Environment::Development)
    {
        browser::time(headers, spent, origin.clone());
    }
    browser::allow(headers, origin, with_cookies);
    if request.method() == Method::HEAD {
        response.body_mut().clear();
        response.extensions_mut().remove::<ConsoleFile>();
    }
    let route = route.map_or("unknown", |(route, _)| route.path());
    let is_logged = !is_poll || has(|settings| settings.log_polls);
    let facts = if has(|settings| settings.log_ids) { facts } else { facts.without_ids() };
    let entry = LogEntry { request_id, route, event, code, reason, facts, spent, is_logged };
    response.extensions_mut().insert(entry);
    response
}
