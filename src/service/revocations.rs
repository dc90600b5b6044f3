//! `GET /revocations`: which sessions have ended, for whoever verifies their tokens offline.

use http::{HeaderValue, Request, Response};

use super::{App, Error, body};
use crate::{
    jwt::{FEED_LIFETIME, MAX_LIFETIME, Policy, Revocations},
    session::{Revoked, Store},
    time::UnixTime,
};

/// Five seconds: a cache takes the load, and hides no ended session for longer.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=5");

/// How long a feed in which nothing changes is one and the same to `If-None-Match`, seconds. A verifier that asks gets a
/// newly signed one well before its old one expires.
const ETAG_SECONDS: i64 = FEED_LIFETIME as i64 / 5;

/// The signed feed: 200, or 304 when nothing has changed for a client that asks again.
///
/// 1. Reads what has ended: 503 `storage_unavailable`.
/// 2. Compares its content with what the client has: 304.
/// 3. Signs it.
pub(super) async fn feed<S: Store, T, L>(
    app: &App<'_, S, T, L>,
    request: &Request<Vec<u8>>,
    now: UnixTime,
) -> Result<Response<Vec<u8>>, Error> {
    let Policy { issuer, audience, .. } = &app.settings.policy;
    // (1) A verifier may accept a token for its tolerance after its expiry, and no token lives longer than this.
    let expired_since = now.minus(Policy::MAX_CLOCK_TOLERANCE);
    let issued_since = expired_since.minus(MAX_LIFETIME);
    let Revoked { epoch, sids, users } = app.store.revoked(expired_since, issued_since).await?;
    let epoch = epoch.unwrap_or(UnixTime::MIN);
    let (iss, aud, exp) = (issuer.clone(), audience.clone(), now.plus(FEED_LIFETIME));
    let feed = Revocations { iss, aud, iat: now, exp, epoch, sids, users };
    // (2) Weak: signed at another second, it is another text that says the same.
    let content = (&feed.epoch, &feed.sids, &feed.users, now.seconds() / ETAG_SECONDS);
    let etag = format!("W/{}", body::etag(&serde_json::to_vec(&content).unwrap_or_default()));
    body::cacheable(request.headers(), &etag, CACHE_CONTROL, "application/jwt", || {
        // (3)
        feed.sign(app.settings.keys.active())
            .map_err(|_| Error::Internal("the revocation feed would be over its size limit"))
    })
}
