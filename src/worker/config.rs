//! The bindings of the Worker: the settings, which are parsed once for each set of bindings, the
//! database, and the limiters.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::Reflect;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{D1Database, Env};

use super::{limiter, log, runtime::host};
use crate::service::{Event, Memory, Misconfigured, Settings};

/// The bindings of a job.
pub(super) struct Bindings {
    pub(super) settings: Settings,
    pub(super) memory: Memory,
    pub(super) database: D1Database,
    /// Whether the store counts events.
    pub(super) counts: Cell<bool>,
    pub(super) limiters: limiter::Bindings,
    /// A promise of the key that signs tokens.
    pub(super) key: JsValue,
    /// Whether the development database has been set up.
    pub(super) is_set_up: Cell<bool>,
}

pub(super) type Read = Result<Bindings, Misconfigured>;

thread_local! {
    static BINDINGS: RefCell<Option<Rc<Read>>> = const { RefCell::new(None) };
}

/// Sets the bindings of the jobs that begin from now on. `entry.mjs` calls it when they have
/// changed: Cloudflare may change bindings and keep the isolate.
#[wasm_bindgen]
pub fn configure(env: &Env) {
    let bindings = read(env);
    if let Ok(bindings) = &bindings {
        warn(bindings);
    }
    BINDINGS.set(Some(Rc::new(bindings)));
}

/// The bindings of a job that begins; an error names the first setting that is missing or
/// malformed.
pub(super) fn bindings() -> Rc<Read> {
    let missing = || {
        Err(Misconfigured {
            setting: "DB",
            problem: "is missing: bind a D1 database to it in wrangler.toml.".to_owned(),
        })
    };
    BINDINGS.with_borrow(Clone::clone).unwrap_or_else(|| Rc::new(missing()))
}

fn read(env: &Env) -> Read {
    // A number or a list in wrangler.toml is not text. If it counted as absent, a limit that it
    // sets would not apply.
    let lookup = |setting: &'static str| match Reflect::get(env.as_ref(), &setting.into()) {
        Ok(value) if value.is_undefined() => Ok(None),
        Ok(value) if value.is_string() => Ok(value.as_string()),
        _ => Err(Misconfigured {
            setting,
            problem: "must be text: put its value in quotes.".to_owned(),
        }),
    };
    let settings = Settings::read(lookup)?;
    let database = env.d1("DB").map_err(|_| Misconfigured {
        setting: "DB",
        problem: "must be a D1 database: bind one to it in wrangler.toml.".to_owned(),
    })?;
    let key = host::import_key(settings.keys.active().expose());
    Ok(Bindings {
        counts: Cell::new(settings.counts),
        settings,
        memory: Memory::default(),
        database,
        limiters: limiter::Bindings::read(env),
        key,
        is_set_up: Cell::new(false),
    })
}

/// Warns of settings that weaken the service.
fn warn(Bindings { settings, limiters, .. }: &Bindings) {
    if settings.pi_app_id.is_none() {
        log::warn(
            Event::SettingsWeak,
            "PI_APP_ID is not set, so access tokens for any Pi app can sign in (app_bound is false). Set it to your app's id.",
        );
    }
    let missing = limiters.missing().join(", ");
    if settings.rate_limits && !missing.is_empty() {
        let message = format!(
            "these rate limits are not bound and do not apply: {missing}. Bind them in wrangler.toml."
        );
        log::warn(Event::SettingsWeak, &message);
    }
}
