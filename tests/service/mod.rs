//! The service from outside: whole flows with the simulated Pi, and a store that can be made to
//! fail.

mod admin_lists;
mod admin_overview;
mod backend;
mod browser;
mod console;
mod cookie;
mod counts;
mod credential;
mod data;
mod deeds;
mod dpop;
mod identity;
mod limit;
mod log;
mod operator;
mod refresh;
mod route;
mod session;
mod settings;
mod transcript;
mod upstream;

use crate::support::*;
use http::{HeaderValue, Request, Response};
use pioneer_session::{
    dpop::Proof,
    identifier::Identifier,
    jwt::{self, Claims, KeySet, Revocations, Window},
    service::{self, Signer as _},
    session::Store as _,
    simulator::PERSONAS,
    time::UnixTime,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn with_cookies() -> TestApp {
    test_app_with(&[("SESSION_COOKIE", "on")])
}

/// The whole feed, verified as a backend would.
struct Feed {
    epoch: UnixTime,
    sids: Vec<u64>,
    users: BTreeMap<Identifier, UnixTime>,
    known: Revocations,
}

impl Feed {
    fn revokes(&self, claims: &Claims) -> bool {
        self.known.revokes(claims)
    }
}

/// A process keeps the feed for five seconds.
fn feed(app: &TestApp, now: i64) -> Feed {
    let reply = call_at(app, &request("GET", "/revocations", &[], ""), now);
    let media_type = Some("application/octet-stream");
    assert_eq!((reply.status, reply.header("content-type")), (200, media_type));
    let now = UnixTime::from_seconds(now).unwrap();
    let (keys, policy) = (app.settings.keys.all(), &app.settings.policy);
    let token = reply.bytes.split(|&byte| byte == b'\n').next().unwrap();
    assert!(jwt::verify(token, keys, policy, now).is_err(), "T7: no session token");
    let (window, sids) = Window::verify(&reply.bytes, keys, policy, now).unwrap();
    assert_eq!(window.from, 0, "the whole");
    let (epoch, users, mut known) = (window.epoch, window.users.clone(), Revocations::default());
    known.add(window, sids.clone()).unwrap();
    Feed { epoch, sids, users, known }
}
