//! The Pi Platform in memory, with its real quirks: for tests, and for development without a
//! network.
//!
//! The text of a token names its user: see [`PERSONAS`]. Nothing is secret here, and only the token
//! and [`SERVER_API_KEY`] are checked, so a service must not accept the simulator as its upstream
//! in production. This service enforces that with `PI_API_BASE`.
//!
//! Host tests use [`Simulator`] instead of the network. `npm start` runs the same answers as a
//! separate Worker, together with `sdk.js`, a stand-in for `https://sdk.minepi.com/pi-sdk.js`.
//!
//! Tests under load also have a [`CROWD`].
//!
//! | path | here | state |
//! |---|---|---|
//! | `GET /v2/me` | [`answer`] | |
//! | the requests of an app with its key | `platform.rs` | [`Ledger`], and [`Faults`] |
//! | `/simulator/…`: actions of users, faults, the ledger | `control.rs` | the same |

mod control;
mod fault;
mod ledger;
mod platform;
#[cfg(target_arch = "wasm32")]
pub mod worker;

pub use fault::{Fault, FaultKind, Faults, Step};
pub use ledger::{
    APPROVAL_SECONDS, Ad, AdStatus, Ledger, Notification, Payment, Refusal, Transaction,
};
pub use platform::SERVER_API_KEY;

use std::{
    cell::{Cell, RefCell},
    sync::LazyLock,
};

use http::{Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    pi::{MAX_BODY_BYTES, Transport, Unreachable},
    time::UnixTime,
};

/// The app whose tokens the simulated Pi issues.
pub const APP_ID: &str = "simulated-app";

/// A user, or a fault, that a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persona {
    /// The access token. It is readable; Pi's are opaque.
    pub token: &'static str,
    /// The text in the consent dialog.
    pub title: &'static str,
    kind: Kind,
}

impl Persona {
    const fn username(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Person { username, .. } => username,
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A person: the uid, the username if granted, and how `app_id` is sent.
    Person { uid: &'static str, username: Option<&'static str>, app_id: AppId },
    /// Everything is right except `valid_until`, in seconds from now.
    ValidFor(i64),
    /// A whole answer that is not a UserDTO.
    Status(u16, &'static str, &'static str),
    /// No answer within any deadline.
    Slow,
    /// The connection breaks.
    Broken,
    /// 200, with 5 MB.
    Huge,
    /// 302 to another host.
    Redirect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AppId {
    Text(&'static str),
    Number(u64),
    Absent,
}

const fn person(
    token: &'static str,
    title: &'static str,
    uid: &'static str,
    name: &'static str,
) -> Persona {
    let username = Some(name);
    Persona { token, title, kind: Kind::Person { uid, username, app_id: AppId::Text(APP_ID) } }
}

const fn status(
    token: &'static str,
    title: &'static str,
    status: u16,
    content_type: &'static str,
    body: &'static str,
) -> Persona {
    Persona { token, title, kind: Kind::Status(status, content_type, body) }
}

const JSON: &str = "application/json; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// All users, and every kind of answer that Pi, or a proxy before it, has been seen to send.
pub const PERSONAS: &[Persona] = &[
    person("sim-alice", "Alice", "a11ce000-0000-4000-8000-000000000001", "alice_pioneer"),
    person("sim-bob", "Bob", "b0b00000-0000-4000-8000-000000000002", "bob_pioneer"),
    Persona {
        token: "sim-no-username",
        title: "Carol, who keeps her username to herself",
        kind: Kind::Person {
            uid: "ca501000-0000-4000-8000-000000000003",
            username: None,
            app_id: AppId::Text(APP_ID),
        },
    },
    Persona {
        token: "sim-other-app",
        title: "Alice, with a token made for another app",
        kind: Kind::Person {
            uid: "a11ce000-ffff-4000-8000-000000000009",
            username: Some("alice_pioneer"),
            app_id: AppId::Text("another-app"),
        },
    },
    Persona {
        token: "sim-app-id-number",
        title: "Dave, whose app_id is a number",
        kind: Kind::Person {
            uid: "da4e0000-0000-4000-8000-000000000004",
            username: Some("dave_pioneer"),
            app_id: AppId::Number(314),
        },
    },
    Persona {
        token: "sim-app-id-absent",
        title: "Erin, whose app Pi does not name",
        kind: Kind::Person {
            uid: "e5140000-0000-4000-8000-000000000005",
            username: Some("erin_pioneer"),
            app_id: AppId::Absent,
        },
    },
    Persona { token: "sim-expired", title: "A token that has run out", kind: Kind::ValidFor(-60) },
    status("sim-revoked", "A token that was revoked (401, empty)", 401, "", ""),
    status("sim-401-json", "401 with a JSON body", 401, JSON, r#"{"error":"unauthorized"}"#),
    status("sim-403", "403", 403, JSON, "{}"),
    status("sim-404", "404", 404, JSON, "{}"),
    status("sim-429", "429, Retry-After 7", 429, JSON, "{}"),
    status("sim-500-html", "An error page, 500", 500, HTML, "<html>We're sorry</html>"),
    status("sim-200-html", "An error page, 200", 200, HTML, "<html>Maintenance</html>"),
    status("sim-200-error", "200 with an error object", 200, JSON, r#"{"error":"unknown_error"}"#),
    status("sim-truncated", "An answer cut short", 200, JSON, r#"{"uid":"a11ce000-0000"#),
    status("sim-duplicate", "An answer with two uids", 200, JSON, r#"{"uid":"a","uid":"b"}"#),
    Persona { token: "sim-slow", title: "No answer for half a minute", kind: Kind::Slow },
    Persona { token: "sim-broken", title: "A connection that breaks", kind: Kind::Broken },
    Persona { token: "sim-huge", title: "An answer of 5 MB", kind: Kind::Huge },
    Persona { token: "sim-redirect", title: "A redirect to another host", kind: Kind::Redirect },
];

/// How many more users there are, for tests under load: the tokens `sim-crowd-0`, `sim-crowd-1` and
/// so on.
pub const CROWD: usize = 10_000;

/// Their uids, by their numbers.
static CROWD_UIDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    (0..CROWD).map(|number| format!("c4007d00-0000-4000-8000-{number:012}")).collect()
});

/// The uid of the user with this token.
fn uid_in_crowd(token: &str) -> Option<&'static str> {
    let number: usize = token.strip_prefix("sim-crowd-")?.parse().ok()?;
    CROWD_UIDS.get(number).map(String::as_str)
}

/// The kind of answer of the simulated Pi.
#[derive(Debug)]
pub enum Answer {
    /// This response.
    Whole(Response<Vec<u8>>),
    /// A response that is too late for any caller.
    Late,
    /// A closed connection.
    Broken,
}

/// Answers a request as `https://api.minepi.com` would, and the requests below `/simulator/`.
#[must_use]
pub fn answer(
    request: &Request<Vec<u8>>,
    now: UnixTime,
    ledger: &mut Ledger,
    faults: &mut Faults,
) -> Answer {
    match request.uri().path() {
        "/v2/me" if request.method() == Method::GET => me(request, now),
        path if path.starts_with("/simulator/") => {
            Answer::Whole(control::answer(request, now, ledger, faults))
        }
        _ => platform::answer(request, now, ledger, faults),
    }
}

fn me(request: &Request<Vec<u8>>, now: UnixTime) -> Answer {
    let authorization =
        request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
    if let Some(uid) = token.and_then(uid_in_crowd) {
        let app_id = AppId::Text(APP_ID);
        return whole(&user(uid, Some("crowd_pioneer"), app_id, now.seconds() + 3600));
    }
    let persona = PERSONAS.iter().find(|persona| Some(persona.token) == token);
    // Pi answers an unknown token with an empty 401.
    let Some(persona) = persona else { return Answer::Whole(respond(401, "", Vec::new())) };
    match persona.kind {
        Kind::Person { uid, username, app_id } => {
            whole(&user(uid, username, app_id, now.seconds() + 3600))
        }
        Kind::ValidFor(seconds) => {
            let uid = "0d000000-0000-4000-8000-000000000006";
            whole(&user(uid, Some("olga_pioneer"), AppId::Text(APP_ID), now.seconds() + seconds))
        }
        Kind::Status(429, ..) => Answer::Whole(too_many_requests()),
        Kind::Status(status, content_type, body) => {
            Answer::Whole(respond(status, content_type, body.into()))
        }
        Kind::Slow => Answer::Late,
        Kind::Broken => Answer::Broken,
        Kind::Huge => Answer::Whole(respond(200, JSON, vec![b' '; 5_000_000])),
        Kind::Redirect => {
            let mut response = respond(302, HTML, Vec::new());
            let elsewhere = header::HeaderValue::from_static("https://elsewhere.example/v2/me");
            response.headers_mut().insert(header::LOCATION, elsewhere);
            Answer::Whole(response)
        }
    }
}

/// The uid of the user of a token, and the app for which it was issued.
fn person_of(token: &str) -> Option<(&'static str, String)> {
    if let Some(uid) = uid_in_crowd(token) {
        return Some((uid, APP_ID.to_owned()));
    }
    let persona = PERSONAS.iter().find(|persona| persona.token == token)?;
    let Kind::Person { uid, app_id, .. } = persona.kind else { return None };
    let app_id = match app_id {
        AppId::Text(text) => text.to_owned(),
        AppId::Number(number) => number.to_string(),
        // Pi does not send it, but knows it.
        AppId::Absent => APP_ID.to_owned(),
    };
    Some((uid, app_id))
}

/// A UserDTO with every member that has been seen in one, the undocumented ones included.
fn user(uid: &str, username: Option<&str>, app_id: AppId, valid_until: i64) -> Value {
    let mut scopes = vec!["payments", "platform"];
    scopes.extend(username.map(|_| "username"));
    let mut user = json!({
        "uid": uid,
        "credentials": { "scopes": scopes, "valid_until": { "timestamp": valid_until, "iso8601": "" } },
        "receiving_email": null,
    });
    if let Some(moment) = UnixTime::from_seconds(valid_until)
        && let Some(iso8601) = user.pointer_mut("/credentials/valid_until/iso8601")
    {
        *iso8601 = moment.to_rfc3339().into();
    }
    if let Some(members) = user.as_object_mut() {
        members.extend(username.map(|name| ("username".to_owned(), name.into())));
        match app_id {
            AppId::Text(text) => drop(members.insert("app_id".to_owned(), text.into())),
            AppId::Number(number) => drop(members.insert("app_id".to_owned(), number.into())),
            AppId::Absent => {}
        }
    }
    user
}

fn whole(user: &Value) -> Answer {
    Answer::Whole(respond(200, JSON, user.to_string().into_bytes()))
}

fn respond(status: u16, content_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    if !content_type.is_empty() {
        let value = header::HeaderValue::from_static(content_type);
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

fn error_page() -> Response<Vec<u8>> {
    respond(500, HTML, b"<html>We're sorry</html>".to_vec())
}

fn too_many_requests() -> Response<Vec<u8>> {
    let mut response = respond(429, JSON, b"{}".to_vec());
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("7"));
    response
}

/// The simulated Pi instead of the network. It records its requests.
#[derive(Debug)]
pub struct Simulator {
    /// Its clock.
    pub now: Cell<UnixTime>,
    /// Every request, in order.
    pub requests: RefCell<Vec<Request<Vec<u8>>>>,
    /// The ledger.
    pub ledger: RefCell<Ledger>,
    /// The faults.
    pub faults: RefCell<Faults>,
}

impl Simulator {
    /// A Pi whose clock shows `now`.
    #[must_use]
    pub const fn new(now: UnixTime) -> Self {
        Self {
            now: Cell::new(now),
            requests: RefCell::new(Vec::new()),
            ledger: RefCell::new(Ledger::new(0)),
            faults: RefCell::new(Faults::new()),
        }
    }
}

impl Transport for Simulator {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Unreachable> {
        let (mut ledger, mut faults) = (self.ledger.borrow_mut(), self.faults.borrow_mut());
        let answer = answer(&request, self.now.get(), &mut ledger, &mut faults);
        self.requests.borrow_mut().push(request);
        match answer {
            Answer::Whole(response) if response.body().len() > MAX_BODY_BYTES => {
                Err(Unreachable::TooLarge)
            }
            Answer::Whole(response) => Ok(response),
            Answer::Late => Err(Unreachable::Deadline),
            Answer::Broken => Err(Unreachable::Connection),
        }
    }
}
