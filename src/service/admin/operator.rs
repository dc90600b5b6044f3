//! The guard of the routes of operators. The table of routes asks it before it calls a handler.
//!
//! A credential comes in `Authorization` only. No cookie is read, so a page cannot act with the
//! credential of its visitor.

use http::{HeaderMap, Response};

use super::operators::{Operator, Operators};
use crate::{
    audit::{Action, Entry, Via},
    identifier::Identifier,
    jwt::{OperatorClaims, Role},
    service::{
        answer,
        app::{App, Entropy, Ports},
        attempts,
        credential::bearer,
        error::Error,
    },
    time::UnixTime,
};

/// An operator who may call, and when the token expires if the request came with one.
pub(in crate::service) struct Admitted<'a> {
    pub(in crate::service) operator: &'a Operator,
    pub(in crate::service) expires_at: Option<UnixTime>,
}

impl Admitted<'_> {
    /// An entry of the audit about a deed of this operator.
    pub(in crate::service) fn entry(
        &self,
        action: Action,
        target: Option<&str>,
        entropy: Entropy,
    ) -> Entry {
        Entry {
            actor: self.operator.name.to_string(),
            // The console exchanges the credential for a token; the command line does not.
            via: if self.expires_at.is_some() { Via::Console } else { Via::Cli },
            action,
            target: target.map(str::to_owned),
            detail: None,
            request_id: entropy.request_id(),
        }
    }

    /// 403 `operator_forbidden` for a lower role.
    fn with_role(self, needed: Role) -> Result<Self, Error> {
        if self.operator.role >= needed { Ok(self) } else { Err(Error::OperatorForbidden) }
    }
}

/// Checks the operator's token or credential, and the role: 400 `ambiguous_credentials`, 401
/// `operator_rejected`, 403 `operator_forbidden`. Every credential is rejected with the same words.
/// A wrong one is counted by the client's address first: 429. A valid one never is, so nobody can
/// slow an operator down.
pub(in crate::service) async fn admit<'a, P: Ports>(
    app: &App<'a, P>,
    headers: &HeaderMap,
    needed: Role,
) -> Result<Admitted<'a>, Error> {
    let found = find(app, headers);
    if let Err(Error::OperatorRejected) = found {
        attempts::operator(app, None, headers).await?;
    }
    let admitted = found?;
    // The log names the operator, also of a request that the role does not permit.
    app.note(|facts| facts.operator = Some(admitted.operator.name.to_string()));
    admitted.with_role(needed)
}

/// The user whom a path names: 404 if no user can have this id.
pub(super) fn user_of<P: Ports>(app: &App<'_, P>, uid: &str) -> Result<Identifier, Error> {
    let uid = Identifier::parse(uid.to_owned()).ok_or(Error::NotFound)?;
    app.note(|facts| facts.uid = Some(uid.clone()));
    Ok(uid)
}

/// The answer of a deed: 204, or 404 if there is nothing to which it could be done.
pub(super) fn done(is_done: bool) -> Result<Response<Vec<u8>>, Error> {
    if is_done { Ok(answer::no_content()) } else { Err(Error::NotFound) }
}

/// Whether [`admit`] will admit the request. It counts nothing, so an edge can ask before it reads
/// the body.
pub(in crate::service) fn is_admitted<P: Ports>(
    app: &App<'_, P>,
    headers: &HeaderMap,
    needed: Role,
) -> bool {
    find(app, headers).and_then(|admitted| admitted.with_role(needed)).is_ok()
}

/// The operator whose token or credential is in the request.
fn find<'a, P: Ports>(app: &App<'a, P>, headers: &HeaderMap) -> Result<Admitted<'a>, Error> {
    // Without operators, their routes do not exist.
    let operators = app.settings.operators.as_ref().ok_or(Error::NotFound)?;
    let bearer = bearer(headers)?.ok_or(Error::OperatorRejected)?;
    match operators.with_credential(bearer) {
        Some(operator) => Ok(Admitted { operator, expires_at: None }),
        None => with_token(app, operators, bearer).ok_or(Error::OperatorRejected),
    }
}

/// The operator of a valid token, whose name still has the same role and credential in the setting.
fn with_token<'a, P: Ports>(
    app: &App<'a, P>,
    operators: &'a Operators,
    token: &[u8],
) -> Option<Admitted<'a>> {
    let (settings, now) = (app.settings, app.now());
    let claims = OperatorClaims::verify(token, settings.keys.all(), &settings.policy, now).ok()?;
    let operator = operators.with_name(&claims.sub)?;
    let is_unchanged = operator.role == claims.role && operator.credential_id() == claims.cid;
    // This clock is the issuer's own, so `exp` needs no tolerance.
    let is_valid = is_unchanged && now < claims.exp;
    is_valid.then_some(Admitted { operator, expires_at: Some(claims.exp) })
}

#[cfg(test)]
mod tests {
    use super::{Admitted, Error, Operators, Role};

    #[test]
    fn a3_a_viewer_may_not_act() {
        let setting = format!(
            r#"{{"a":{{"sha256":"{:0>64}","role":"owner"}},"b":{{"sha256":"{:1>64}","role":"viewer"}}}}"#,
            "", ""
        );
        let operators = Operators::read(&setting).unwrap();
        let outcome = |name: &str, needed| {
            let operator = operators.with_name(&name.to_owned().try_into().unwrap()).unwrap();
            Admitted { operator, expires_at: None }.with_role(needed)
        };
        for (name, needed) in [("a", Role::Viewer), ("a", Role::Owner), ("b", Role::Viewer)] {
            assert!(outcome(name, needed).is_ok(), "{name}");
        }
        assert!(matches!(outcome("b", Role::Owner), Err(Error::OperatorForbidden)));
    }
}
