//! The bindings: vars and secrets parsed once per isolate, and the database.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use js_sys::Reflect;
use worker::{D1Database, Env};

use crate::service::{Misconfigured, Settings};

/// The settings of this isolate, and its database.
///
/// # Errors
/// The first setting that is missing or malformed.
pub(super) fn bindings(env: &Env) -> Result<(&'static Settings, D1Database), Misconfigured> {
    // Bindings cannot change while an isolate lives, so neither can this.
    static SETTINGS: OnceLock<Result<Settings, Misconfigured>> = OnceLock::new();
    // A number or a list in wrangler.toml is no text. Taken for absent, it would open what it should close.
    let lookup = |setting: &'static str| match Reflect::get(env.as_ref(), &setting.into()) {
        Ok(value) if value.is_undefined() => Ok(None),
        Ok(value) if value.is_string() => Ok(value.as_string()),
        _ => Err(Misconfigured { setting, problem: "must be text, in quotes".to_owned() }),
    };
    let settings =
        SETTINGS.get_or_init(|| Settings::read(lookup)).as_ref().map_err(Clone::clone)?;
    let database = env.d1("DB").map_err(|_| Misconfigured {
        setting: "DB",
        problem: "must be a D1 database binding".to_owned(),
    })?;
    Ok((settings, database))
}

/// Says once per isolate what an operator should know.
pub(super) fn warn_once(settings: &Settings, env: &Env) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if SAID.swap(true, Ordering::Relaxed) {
        return;
    }
    if settings.pi_app_id.is_none() {
        super::warn(
            "PI_APP_ID is not set: access tokens made for any Pi app can sign in (app_bound is false)",
        );
    }
    if settings.rate_limits && env.rate_limiter("SIGN_IN_LIMIT").is_err() {
        super::warn("SIGN_IN_LIMIT is not bound: sign-ins and refreshes are not limited");
    }
}
