//! `GET /revocations`: which sessions have ended, for whoever verifies their tokens offline.

use http::{HeaderValue, Request, Response};

use super::{
    App, Error, Ports, Warning, body,
    limit::{self, Limit},
    signer::sign,
};
use crate::{
    jwt::{FEED_LIFETIME, MAX_LIFETIME, Policy, Revocations},
    session::{KEPT_SECONDS, Revoked, Store as _},
    time::UnixTime,
};

/// Five seconds: a cache takes the load, and hides no ended session for longer.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=5");

/// Names of so many sessions are 4 MB of a feed, and making it takes a third of an isolate's 128 MB in the wasm alone
/// (`tests/worker/entry.test.mjs` holds it to that). Above it, somebody ends sessions by the hundred thousand.
const MAX_NAMED: u32 = 120_000;

/// An ended token may be accepted by a verifier whose clock is slow by as much as it tolerates.
const _: () = assert!(KEPT_SECONDS >= 2 * Policy::MAX_CLOCK_TOLERANCE, "R11");

/// With the longest uids, they fill what the sessions leave of the feed's 8 MiB.
const MAX_NAMED_USERS: u32 = 20_000;

/// How long a feed in which nothing changes is one and the same to `If-None-Match`, seconds. A verifier that asks gets a
/// newly signed one well before its old one expires.
const ETAG_SECONDS: i64 = FEED_LIFETIME as i64 / 5;

/// The signed feed: 200, or 304 when nothing has changed for a client that asks again.
///
/// 1. Counts the client's reads: 429. Reads what has ended: 503 `storage_unavailable`.
/// 2. Compares its content with what the client has: 304.
/// 3. Signs it.
pub(super) async fn feed<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    limit::by_address(app, Limit::Reads, request.headers()).await?;
    let now = app.now();
    let Policy { issuer, audience, .. } = &app.settings.policy;
    // (1) No token lives longer than this.
    let expired_since = now.minus(KEPT_SECONDS);
    let issued_since = expired_since.minus(MAX_LIFETIME);
    let limits = (MAX_NAMED, MAX_NAMED_USERS);
    let Revoked { epoch, is_flooded, sids, users } =
        app.store.revoked(expired_since, issued_since, limits).await?;
    let epoch = epoch.unwrap_or(UnixTime::MIN);
    let (iss, aud, exp) = (issuer.clone(), audience.clone(), now.plus(FEED_LIFETIME));
    let feed = Revocations { iss, aud, iat: now, exp, epoch, sids, users };
    // (2) Weak: signed at another second, it is another text that says the same.
    let content = (&feed.epoch, &feed.sids, &feed.users, now.seconds() / ETAG_SECONDS);
    let etag = format!("W/{}", body::etag(&serde_json::to_vec(&content).unwrap_or_default()));
    let mut response =
        body::cacheable(request.headers(), &etag, CACHE_CONTROL, "application/jwt", async || {
            // (3)
            sign(app, feed.signing_input(app.settings.keys.active())).await
        })
        .await?;
    if is_flooded {
        let warning = "more has ended than the feed can name: its epoch revokes the oldest tokens, until they are refreshed";
        response.extensions_mut().insert(Warning(warning));
    }
    Ok(response)
}
