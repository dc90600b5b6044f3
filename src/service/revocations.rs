//! `GET /revocations`: the signed feed of revoked sessions, for verifiers that work offline.

use http::{HeaderValue, Request, Response};

use super::{
    answer::{self, Caching},
    app::{App, Ports, Warning},
    attempts,
    error::Error,
    limit::Limit,
};
use crate::{
    jwt::{FEED_LIFETIME, MAX_LIFETIME, Policy, Revocations},
    session::{KEPT_SECONDS, Revoked, Store as _},
    time::UnixTime,
};

/// Five seconds: a cache takes the load, and delays a revocation by no more than that.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=5");

/// The most sessions that a feed names. The names of so many are 4 MB, and making the feed takes a
/// third of an isolate's 128 MB for the wasm only (`entry.test.mjs` checks this). More revoked
/// sessions than this are an attack.
const MAX_NAMED: u32 = 120_000;

// A verifier whose clock is slow by its full tolerance may still accept an expired token.
const _: () = assert!(KEPT_SECONDS >= 2 * Policy::MAX_CLOCK_TOLERANCE, "R11");

/// The most users that a feed names. With the longest uids, they fill the part of the feed's 8 MiB
/// that the sessions leave.
const MAX_NAMED_USERS: u32 = 20_000;

/// For the log.
const FLOODED: &str = "more sessions are revoked than the feed can name: its epoch revokes the oldest tokens, until they are refreshed";

/// Seconds for which a feed without changes keeps its entity tag. A verifier gets a newly signed
/// feed well before its old one expires.
const ETAG_SECONDS: i64 = FEED_LIFETIME as i64 / 5;

/// `GET /revocations`: 200 with the signed feed, or 304 if the client has its content already.
///
/// 1. Counts the client's reads: 429. Reads the revoked sessions: 503 `storage_unavailable`.
/// 2. Compares the content with the client's entity tag: 304.
/// 3. Signs the feed.
pub(super) async fn feed<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    attempts::by_address(app, Limit::Reads, request.headers()).await?;
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
    // (2) The tag is weak: a feed signed in another second is another text with the same content.
    let content = (&feed.epoch, &feed.sids, &feed.users, now.seconds() / ETAG_SECONDS);
    let etag = format!("W/{}", answer::etag(&serde_json::to_vec(&content).unwrap_or_default()));
    let caching =
        Caching { etag: &etag, cache_control: CACHE_CONTROL, media_type: "application/jwt" };
    let text = if answer::is_known(request.headers(), &etag) {
        None
    } else {
        // (3)
        Some(app.sign(feed.signing_input(app.settings.keys.active())).await?)
    };
    let mut response = answer::cacheable(caching, text);
    if is_flooded {
        response.extensions_mut().insert(Warning(FLOODED.into()));
    }
    Ok(response)
}
