//! `GET /health`: whether the code runs, regardless of its settings and its database; and `GET /`:
//! what it is.

use http::{Response, StatusCode};
use serde::Serialize;

use super::{
    answer,
    app::{App, Ports},
    error::Error,
};

#[derive(Serialize)]
struct ServiceJson<'a> {
    service: &'static str,
    version: &'static str,
    documentation: &'static str,
    openapi: String,
    issuer: &'a str,
}

/// `GET /`: 200. Without its settings, the Worker answers every route with the one that is missing.
pub(super) async fn introduce<P: Ports>(app: &App<'_, P>) -> Result<Response<Vec<u8>>, Error> {
    let issuer = &app.settings.policy.issuer;
    let service = ServiceJson {
        service: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        documentation: env!("CARGO_PKG_HOMEPAGE"),
        openapi: format!("{issuer}/openapi.json"),
        issuer,
    };
    Ok(answer::json(StatusCode::OK, &service))
}

#[derive(Serialize)]
struct HealthJson {
    status: &'static str,
    version: &'static str,
}

/// `GET /health`: 200.
pub(super) async fn show() -> Result<Response<Vec<u8>>, Error> {
    Ok(response())
}

/// The answer of the route, which needs no settings.
pub(super) fn response() -> Response<Vec<u8>> {
    let health = HealthJson { status: "ok", version: env!("CARGO_PKG_VERSION") };
    answer::repeatable(answer::json(StatusCode::OK, &health))
}
