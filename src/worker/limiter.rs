//! The rate limits of Cloudflare Workers: one binding for each kind of limit, if it is configured.

use worker::{Env, RateLimiter};

use super::{
    log,
    runtime::{host, wire},
};
use crate::service::{self, Event, Limit};

/// Cloudflare's counters. Each of its locations counts for itself.
pub(super) struct Bindings([Option<RateLimiter>; Limit::ALL.len()]);

impl Bindings {
    pub(super) fn read(env: &Env) -> Self {
        Self(Limit::ALL.map(|limit| env.rate_limiter(limit.binding()).ok()))
    }

    fn of(&self, limit: Limit) -> Option<&RateLimiter> {
        self.0.get(limit as usize)?.as_ref()
    }

    /// The names of the limits that are not bound.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let missing = Limit::ALL.into_iter().filter(|limit| self.of(*limit).is_none());
        missing.map(Limit::binding).collect()
    }
}

pub(super) struct Limiter<'a>(pub(super) &'a Bindings);

impl service::Limiter for Limiter<'_> {
    async fn admits(&self, limit: Limit, key: &str) -> bool {
        let Some(limiter) = self.0.of(limit) else { return true };
        match host::count(limiter.as_ref(), key).await {
            Ok(answer) => wire::is_yes(&answer),
            Err(_) => {
                let message = format!("{} failed: this attempt was not counted", limit.binding());
                log::warn(Event::LimitFailed, &message);
                true
            }
        }
    }

    fn is_bound(&self, limit: Limit) -> bool {
        self.0.of(limit).is_some()
    }
}
