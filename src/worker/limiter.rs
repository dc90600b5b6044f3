//! The Workers rate-limit binding `SIGN_IN_LIMIT`, where there is one.

use worker::{Env, RateLimiter};

use crate::service::Limiter;

/// Cloudflare's counters, which are kept for each of its locations.
pub(super) struct Binding(Option<RateLimiter>);

impl Binding {
    pub(super) fn new(env: &Env) -> Self {
        Self(env.rate_limiter("SIGN_IN_LIMIT").ok())
    }
}

impl Limiter for Binding {
    async fn admits(&self, key: &str) -> bool {
        let Some(limiter) = &self.0 else { return true };
        match limiter.limit(key.to_owned()).await {
            Ok(outcome) => outcome.success,
            Err(_) => {
                super::warn("SIGN_IN_LIMIT failed: this attempt was not counted");
                true
            }
        }
    }
}
