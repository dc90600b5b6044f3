//! `POST /ads/{adId}/claim`: grants the reward of an ad once, to the first user who claims it. Pi's
//! answer names no user, so a second claimant may have stolen the id.

use http::{Request, Response, StatusCode};
use serde::Serialize;

use super::{
    answer,
    app::{App, Ports},
    credential,
    error::Error,
    limit::Limit,
    store::Store as _,
};
use crate::{identifier::Identifier, payment::Store as _, pi};

#[derive(Serialize)]
struct ClaimedJson {
    granted: bool,
}

/// `POST /ads/{adId}/claim`: 200.
///
/// 1. Reads the user of the live session and the ad, and counts the claim: 401, 429.
/// 2. If the ad was claimed before: 200 for its first claimant, 409 `ad_already_claimed` for
///    others.
/// 3. Asks Pi: 409 `ad_not_granted`, 500 `misconfigured`, 502, 503, 504.
/// 4. Records the claim. The first one wins: 409 `ad_already_claimed`.
pub(super) async fn claim<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    id: &str,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let id = Identifier::parse(id.to_owned());
    let (uid, owner) = credential::limited_user(app, request, Limit::Ads, async |sid, now| {
        app.store.user_and_ad_owner(sid, id.as_ref(), now).await
    })
    .await?;
    let id = id.ok_or(Error::AdNotGranted)?;
    app.note(|facts| facts.ad_id = Some(id.clone()));
    // (2)
    if let Some(owner) = owner {
        return granted(owner.as_ref() == Some(&uid));
    }
    // (3)
    let (base, key) = (&app.settings.pi_api_base, app.settings.server_api_key()?);
    let is_granted = match pi::is_ad_granted(&app.transport, base, key, &id).await {
        Err(pi::Error::NotFound) => false,
        answer => answer?,
    };
    if !is_granted {
        return Err(Error::AdNotGranted);
    }
    // (4)
    granted(app.store.claim_ad(&id, &uid, app.now()).await?.as_ref() == Some(&uid))
}

fn granted(is_claimant: bool) -> Result<Response<Vec<u8>>, Error> {
    if is_claimant {
        Ok(answer::json(StatusCode::OK, &ClaimedJson { granted: true }))
    } else {
        Err(Error::AdAlreadyClaimed)
    }
}
