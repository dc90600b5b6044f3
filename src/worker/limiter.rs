//! The Workers rate-limit binding `SIGN_IN_LIMIT`, where there is one.

use worker::RateLimiter;

use super::{bridge, job::Wait};
use crate::service::Limiter;

/// Cloudflare's counters, which are kept for each of its locations.
pub(super) struct Binding<'a>(pub(super) Option<&'a RateLimiter>);

impl Limiter for Binding<'_> {
    async fn admits(&self, key: &str) -> bool {
        let Some(limiter) = self.0 else { return true };
        bridge::count(limiter.as_ref(), key);
        match Wait.await {
            Ok(answer) => answer == b"yes",
            Err(_) => {
                super::warn("SIGN_IN_LIMIT failed: this attempt was not counted");
                true
            }
        }
    }
}
