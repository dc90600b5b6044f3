//! `GET /health`: whether the code runs, regardless of its settings and its database.

use http::{Response, StatusCode};
use serde::Serialize;

use super::{answer, error::Error};

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
    answer::json(StatusCode::OK, &HealthJson { status: "ok", version: env!("CARGO_PKG_VERSION") })
}
