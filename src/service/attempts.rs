//! Counts attempts, each by the key that fits its kind: the client's address, its user, its
//! session. The kinds and their limits are in [`super::limit`].

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use super::{
    app::{App, Ports},
    error::Error,
    limit::{Limit, Limiter as _},
};
use crate::identifier::Identifier;

/// Counts a request by the client's address.
///
/// # Errors
/// [`Error::RateLimited`].
pub(super) async fn by_address<P: Ports>(
    app: &App<'_, P>,
    limit: Limit,
    headers: &HeaderMap,
) -> Result<(), Error> {
    admit(app, limit, &address_key(headers)).await
}

/// Counts a refresh token that this Worker did not issue by the client's address, separately from
/// sign-ins: guesses at refresh tokens must not prevent others at this address from signing in.
///
/// # Errors
/// [`Error::RateLimited`].
pub(super) async fn unproven_refresh<P: Ports>(
    app: &App<'_, P>,
    headers: &HeaderMap,
) -> Result<(), Error> {
    admit(app, Limit::SignIns, &format!("refresh {}", address_key(headers))).await
}

/// Counts a sign-in of an operator by the name, or any request with a wrong credential by the
/// client's address, so that nobody can lock an operator out. The keys differ from those of users,
/// whose ids contain no space.
///
/// # Errors
/// [`Error::RateLimited`].
pub(super) async fn operator<P: Ports>(
    app: &App<'_, P>,
    name: Option<&Identifier>,
    headers: &HeaderMap,
) -> Result<(), Error> {
    let (limit, key) = name.map_or_else(
        || (Limit::SignIns, address_key(headers)),
        |name| (Limit::UserSignIns, name.to_string()),
    );
    admit(app, limit, &format!("operator {key}")).await
}

/// Counts a refresh by its session and by the key of its proof.
///
/// # Errors
/// [`Error::RateLimited`].
pub(super) async fn refreshes<P: Ports>(
    app: &App<'_, P>,
    sid: &Identifier,
    thumbprint: Option<&Identifier>,
) -> Result<(), Error> {
    let key = thumbprint.map_or_else(|| sid.to_string(), |key| format!("{sid} {key}"));
    admit(app, Limit::Refreshes, &key).await
}

/// Counts a request by the user or the session whose credential it carries.
///
/// # Errors
/// [`Error::RateLimited`].
pub(super) async fn by_owner<P: Ports>(
    app: &App<'_, P>,
    limit: Limit,
    id: &Identifier,
) -> Result<(), Error> {
    admit(app, limit, id.as_str()).await
}

async fn admit<P: Ports>(app: &App<'_, P>, limit: Limit, key: &str) -> Result<(), Error> {
    if app.settings.rate_limits && !app.limiter.admits(limit, key).await {
        return Err(Error::RateLimited);
    }
    Ok(())
}

/// The one address from which the Workers of all other zones send requests. Cloudflare writes the
/// zone into `CF-Worker`
/// (<https://developers.cloudflare.com/fundamentals/reference/http-headers/>).
const OTHER_WORKERS: &str = "2a06:98c0:3600::103";

/// The greatest length of a host name.
const MAX_ZONE_BYTES: usize = 253;

/// The key of a client. `CF-Connecting-IP` comes from Cloudflare; a client can forge
/// `X-Forwarded-For`. Clients without an address share one key. The Workers of different zones have
/// different keys, or one of them could lock out the verifiers in all others.
fn address_key(headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let address = text("cf-connecting-ip");
    if address == Some(OTHER_WORKERS)
        && let Some(zone) = text("cf-worker").filter(|zone| zone.len() <= MAX_ZONE_BYTES)
    {
        return format!("zone:{zone}");
    }
    match address.and_then(|text| text.parse().ok()).map(|address: IpAddr| address.to_canonical()) {
        Some(IpAddr::V4(address)) => format!("ip:{address}"),
        // One subscriber has a /64, which is 2^64 addresses.
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("ip:{a:x}:{b:x}:{c:x}:{d:x}")
        }
        None => "ip:unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::address_key;

    #[test]
    fn a1_one_client_is_one_key() {
        let key = |name: &'static str, value: &str| {
            address_key(&[(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect())
        };
        let cf = "cf-connecting-ip";
        assert_eq!(key(cf, "192.0.2.1"), "ip:192.0.2.1");
        assert_eq!(key(cf, "::ffff:192.0.2.1"), "ip:192.0.2.1");
        assert_eq!(key(cf, "2001:db8:1:2:3:4:5:6"), key(cf, "2001:0DB8:1:2::1"));
        assert_ne!(key(cf, "2001:db8:1:2::1"), key(cf, "2001:db8:1:3::1"));
        for none in ["", "192.0.2.1, 192.0.2.2", "localhost", "192.0.2.256"] {
            assert_eq!(key(cf, none), "ip:unknown");
        }
        assert_eq!(key("x-forwarded-for", "192.0.2.1"), "ip:unknown");
        // The Workers of other zones share an address. From other addresses, `CF-Worker` is
        // ignored.
        let from_zone = |address: &str, zone: &str| {
            let headers = [("cf-connecting-ip", address), ("cf-worker", zone)];
            let headers =
                headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            address_key(&headers.into_iter().collect())
        };
        assert_eq!(from_zone("2a06:98c0:3600::103", "a.example"), "zone:a.example");
        assert_eq!(from_zone("192.0.2.1", "a.example"), "ip:192.0.2.1");
        assert_eq!(from_zone("2a06:98c0:3600::103", &"a".repeat(254)), "ip:2a06:98c0:3600:0");
    }
}
