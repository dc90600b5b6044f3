//! `/admin/session`: exchanges an operator's credential for a token, and shows who the caller is.

use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;

use super::operator::Admitted;
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
/// 1. Rejects a token, and counts it by address: 401 `operator_rejected`, 429. It must not be
///    exchanged for the next one without end.
/// 2. Counts the attempt, by the operator's name: 429.
/// 3. Signs the token.
pub(in crate::service) async fn sign_in<P: Ports>(
    app: &App<'_, P>,
    Admitted { operator, expires_at }: &Admitted<'_>,
    headers: &HeaderMap,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    if expires_at.is_some() {
        attempts::operator(app, None, headers).await?;
        return Err(Error::OperatorRejected);
    }
    // (2)
    attempts::operator(app, Some(&operator.name), headers).await?;
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
pub(in crate::service) fn show(
    Admitted { operator, expires_at }: &Admitted<'_>,
) -> Response<Vec<u8>> {
    let answer = OperatorJson {
        name: operator.name.as_str(),
        role: operator.role,
        expires_at: expires_at.map(|time| time.to_rfc3339()),
    };
    answer::json(StatusCode::OK, &answer)
}
