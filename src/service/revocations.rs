//! `GET /revocations`: the signed feed of revoked sessions, for verifiers that work offline.

use http::{Request, Response};

use super::{
    answer::{self, Caching},
    app::{App, Ports},
    attempts,
    error::Error,
    feed::{MAX_NAMED, MAX_NAMED_USERS},
    limit::Limit,
    log::Warning,
};
use crate::{
    jwt::{MAX_LIFETIME, Window},
    session::{KEPT_SECONDS, NUMBERS_PER_SECOND, Store as _},
};

/// A token, a line feed, and bytes.
const MEDIA_TYPE: &str = "application/octet-stream";

/// For the log.
const FLOODED: &str = "more sessions are revoked than the feed can name: its epoch revokes the oldest tokens, until they are refreshed";

/// `GET /revocations`: 200 with the whole feed, or `?after=` a number with the revocations after
/// it; or 304 if the client has them already.
///
/// 1. Counts the client's reads: 429. Reads the number: 400.
/// 2. Reads the new revocations, unless it has read them just now: 503 `storage_unavailable`.
/// 3. Compares their entity tag with the client's: 304.
/// 4. Signs the window, unless it has been signed since they were read.
pub(super) async fn feed<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    attempts::by_address(app, Limit::Reads, request.headers()).await?;
    let position = position(request.uri().query())?;
    // (2)
    read(app).await?;
    let feed = &app.memory.feed;
    let (from, is_flooded) = (feed.borrow().from(position), feed.borrow().is_flooded());
    // (3)
    let etag = feed.borrow().etag(from);
    let max_age = feed.borrow().seconds_left(app.now());
    let caching = Caching { etag: &etag, max_age, media_type: MEDIA_TYPE };
    let document = if answer::is_known(request.headers(), &etag) {
        None
    } else {
        // (4)
        let known = feed.borrow().document(from).map(<[u8]>::to_vec);
        Some(match known {
            Some(document) => document,
            None => sign(app, from).await?,
        })
    };
    let mut response = answer::cacheable(caching, document);
    if is_flooded {
        response.extensions_mut().insert(Warning(FLOODED.into()));
    }
    Ok(response)
}

/// The number of `?after=`; 0 without it.
fn position(query: Option<&str>) -> Result<u64, Error> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut values = pairs.filter(|(name, _)| name == "after").map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(0) };
    let is_plain = value.bytes().all(|byte| byte.is_ascii_digit()) && values.next().is_none();
    let number = value.parse().ok().filter(|_| is_plain);
    number.ok_or(Error::InvalidRequest(
        "after is not a number. Send the number `to` of the last window, or leave it out.",
    ))
}

/// Reads the revocations that are new since the last reading, if that is too old. Requests that
/// come while another one reads also read.
async fn read<P: Ports>(app: &App<'_, P>) -> Result<(), Error> {
    let now = app.now();
    if app.memory.feed.borrow().seconds_left(now) > 0 {
        return Ok(());
    }
    let known = app.memory.feed.borrow().number();
    let expired_since = now.minus(KEPT_SECONDS);
    let issued_since = expired_since.minus(MAX_LIFETIME);
    // Everything older than any token is not worth a row.
    let oldest = u64::try_from(issued_since.seconds()).unwrap_or(0) * NUMBERS_PER_SECOND;
    let limits = (MAX_NAMED + 1, MAX_NAMED_USERS + 1);
    let revoked = app.store.revoked(known.max(oldest), expired_since, issued_since, limits).await?;
    app.memory.feed.borrow_mut().add(known, revoked, now);
    Ok(())
}

async fn sign<P: Ports>(app: &App<'_, P>, from: u64) -> Result<Vec<u8>, Error> {
    let (readings, (window, fingerprints)) = {
        let feed = app.memory.feed.borrow();
        (feed.readings(), feed.window(from, &app.settings.policy))
    };
    let token = app.sign(window.signing_input(app.settings.keys.active())).await?;
    let document = Window::document(token, &fingerprints);
    app.memory.feed.borrow_mut().keep(readings, from, document.clone());
    Ok(document)
}
