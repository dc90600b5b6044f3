//! The service from outside: whole flows with the simulated Pi, and a store that can be made to
//! fail.

mod backend;
mod browser;
mod cookie;
mod credential;
mod data;
mod dpop;
mod identity;
mod limit;
mod refresh;
mod route;
mod session;
mod settings;
mod upstream;

use crate::support::*;
use http::{HeaderValue, Request, Response};
use pioneer_session::{
    dpop::Proof,
    jwt::{self, KeySet, Revocations},
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

/// The feed, verified as a backend would.
fn feed(app: &TestApp, now: i64) -> Revocations {
    let reply = call_at(app, &request("GET", "/revocations", &[], ""), now);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/jwt")));
    let now = UnixTime::from_seconds(now).unwrap();
    let (keys, policy) = (app.settings.keys.all(), &app.settings.policy);
    assert!(jwt::verify(reply.body.as_bytes(), keys, policy, now).is_err(), "T7: no session token");
    Revocations::verify(reply.body.as_bytes(), keys, policy, now).unwrap()
}
