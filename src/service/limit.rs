//! Rate limits on what anybody may try: signing in and refreshing, by client address and by whose session it is.

use std::net::IpAddr;

use http::HeaderMap;

use super::{App, Error, Ports};

/// Counts requests by key, somewhere outside.
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Limiter {
    /// Whether one more request under this key is within the limit. A limiter that fails says yes: it protects
    /// from floods, and must not itself keep everybody out.
    async fn admits(&self, key: &str) -> bool;
}

/// Limits by the client's address, before anything else is done for it.
///
/// # Errors
/// [`Error::RateLimited`].
pub(super) async fn by_address<P: Ports>(
    app: &App<'_, P>,
    headers: &HeaderMap,
) -> Result<(), Error> {
    admit(app, &address_key(headers)).await
}

/// Limits by user or by session, once it is proven which it is.
///
/// # Errors
/// [`Error::RateLimited`].
pub(super) async fn by_owner<P: Ports>(
    app: &App<'_, P>,
    kind: &str,
    id: &str,
) -> Result<(), Error> {
    admit(app, &format!("{kind}:{id}")).await
}

async fn admit<P: Ports>(app: &App<'_, P>, key: &str) -> Result<(), Error> {
    if app.settings.rate_limits && !app.limiter.admits(key).await {
        return Err(Error::RateLimited);
    }
    Ok(())
}

/// Cloudflare's own word for who connects; `X-Forwarded-For` is the client's. Whoever has no address shares one
/// bucket with all others of that kind.
fn address_key(headers: &HeaderMap) -> String {
    let text = headers.get("cf-connecting-ip").and_then(|value| value.to_str().ok());
    match text.and_then(|text| text.parse().ok()).map(|address: IpAddr| address.to_canonical()) {
        Some(IpAddr::V4(address)) => format!("ip:{address}"),
        // One subscriber has a /64, and so 2^64 addresses.
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
    }
}
