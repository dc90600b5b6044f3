//! `POST /ads/{adId}/claim`: a rewarded ad is granted once, to the first user who claims it. Pi's answer names nobody, so
//! who comes second may be a thief of the id.

use http::{Request, Response, StatusCode};
use serde::Serialize;

use super::{App, Error, Ports, body, limit::Limit, order::limited_user, payment::key};
use crate::{identifier::Identifier, payment::Store as _, pi};

#[derive(Serialize)]
struct Claimed {
    granted: bool,
}

/// 1. Who has it: 200 for its first claimant, 409 `ad_already_claimed` for others.
/// 2. Asks Pi: 409 `ad_not_granted`, 502, 503, 504.
/// 3. Writes down whose it is, first come first served.
pub(super) async fn claim<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    id: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let uid = limited_user(app, request, Limit::Ads).await?.uid;
    let id = Identifier::parse(id.to_owned()).ok_or(Error::AdNotGranted)?;
    // (1)
    if let Some(owner) = app.store.ad_owner(&id).await? {
        return granted(owner.as_ref() == Some(&uid));
    }
    // (2)
    let is_granted =
        match pi::is_ad_granted(&app.transport, &app.settings.pi_api_base, key(app)?, &id).await {
            Err(pi::Error::NotFound) => false,
            answer => answer?,
        };
    if !is_granted {
        return Err(Error::AdNotGranted);
    }
    // (3)
    granted(app.store.claim_ad(&id, &uid, app.now()).await?.as_ref() == Some(&uid))
}

fn granted(is_theirs: bool) -> Result<Response<Vec<u8>>, Error> {
    if is_theirs {
        Ok(body::json(StatusCode::OK, &Claimed { granted: true }))
    } else {
        Err(Error::AdAlreadyClaimed)
    }
}
