//! `/admin/session`: exchanges an operator's credential for a token, and shows who the caller is.

use http::{Request, Response, StatusCode};
use serde::Serialize;

use super::operator::{self, Admitted};
use crate::{
    jwt::{MAX_LIFETIME, OperatorClaims, Role},
    service::{
        answer,
        app::{App, Ports},
        attempts,
        error::Error,
    },
};

/// A page that an operator has left open asks for the credential again after an hour.
const LIFETIME: u32 = MAX_LIFETIME;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenJson<'a> {
    operator_token: &'a str,
    expires_in: u32,
    name: &'a str,
    role: Role,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OperatorJson<'a> {
    name: &'a str,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

/// `POST /admin/session`: 200 with a token. It asks neither the database nor Pi, so an operator can
/// sign in while they do not work.
///
/// 1. Looks for the operator with this credential: 400.
/// 2. Counts the attempt, by name if there is one, otherwise by address: 429. Then it rejects a
///    wrong credential: 401 `operator_rejected`.
/// 3. Signs the token.
pub(in crate::service) async fn sign_in<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let operator = match operator::with_credential(app, request.headers()) {
        Err(Error::OperatorRejected) => None,
        found => Some(found?),
    };
    // (2)
    let name = operator.map(|operator| &operator.name);
    attempts::operator(app, name, request.headers()).await?;
    let operator = operator.ok_or(Error::OperatorRejected)?;
    // (3)
    let (settings, now) = (app.settings, app.now());
    let claims = OperatorClaims {
        iss: settings.policy.issuer.clone(),
        aud: settings.policy.audience.clone(),
        sub: operator.name.clone(),
        role: operator.role,
        iat: now,
        exp: now.plus(LIFETIME),
        cid: operator.credential_id(),
    };
    let token = app.sign(claims.signing_input(settings.keys.active())).await?;
    let answer = TokenJson {
        operator_token: &token,
        expires_in: LIFETIME,
        name: operator.name.as_str(),
        role: operator.role,
    };
    Ok(answer::json(StatusCode::OK, &answer))
}

/// `GET /admin/session`: 200 with the operator's name and role, and when the token expires.
pub(in crate::service) async fn show<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let Admitted { operator, expires_at } =
        operator::admit(app, request.headers(), Role::Viewer).await?;
    let answer = OperatorJson {
        name: operator.name.as_str(),
        role: operator.role,
        expires_at: expires_at.map(|time| time.to_rfc3339()),
    };
    Ok(answer::json(StatusCode::OK, &answer))
}
