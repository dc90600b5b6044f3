//! The bindings: vars and secrets, parsed once for each set of them, the database, and the limiters.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::Reflect;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{D1Database, Env};

use super::{bridge, limiter};
use crate::service::{Misconfigured, Settings};

/// What a job works with.
pub(super) struct Bindings {
    pub(super) settings: Settings,
    pub(super) database: D1Database,
    pub(super) limiters: limiter::Bindings,
    /// A promise of the key that signs.
    pub(super) key: JsValue,
    /// Whether a development database has been set up.
    pub(super) is_set_up: Cell<bool>,
}

pub(super) type Read = Result<Bindings, Misconfigured>;

thread_local! {
    static BINDINGS: RefCell<Option<Rc<Read>>> = const { RefCell::new(None) };
}

/// Takes the bindings of the jobs that begin from now on. `entry.mjs` calls it when they are others than before: after a
/// change of bindings, Cloudflare may keep an isolate.
#[wasm_bindgen]
pub fn configure(env: &Env) {
    let bindings = read(env);
    if let Ok(bindings) = &bindings {
        warn(bindings);
    }
    BINDINGS.set(Some(Rc::new(bindings)));
}

/// The bindings of a job that begins; an error names the first setting that is missing or malformed.
pub(super) fn bindings() -> Rc<Read> {
    let missing = || Err(Misconfigured { setting: "DB", problem: "is not there".to_owned() });
    BINDINGS.with_borrow(Clone::clone).unwrap_or_else(|| Rc::new(missing()))
}

fn read(env: &Env) -> Read {
    // A number or a list in wrangler.toml is no text. Taken for absent, it would open what it should close.
    let lookup = |setting: &'static str| match Reflect::get(env.as_ref(), &setting.into()) {
        Ok(value) if value.is_undefined() => Ok(None),
        Ok(value) if value.is_string() => Ok(value.as_string()),
        _ => Err(Misconfigured { setting, problem: "must be text, in quotes".to_owned() }),
    };
    let settings = Settings::read(lookup)?;
    let database = env.d1("DB").map_err(|_| Misconfigured {
        setting: "DB",
        problem: "must be a D1 database binding".to_owned(),
    })?;
    let key = bridge::import_key(settings.keys.active().expose());
    Ok(Bindings {
        settings,
        database,
        limiters: limiter::Bindings::read(env),
        key,
        is_set_up: Cell::new(false),
    })
}

/// Says what an operator should know.
fn warn(Bindings { settings, limiters, .. }: &Bindings) {
    if settings.pi_app_id.is_none() {
        super::warn(
            "PI_APP_ID is not set: access tokens made for any Pi app can sign in (app_bound is false)",
        );
    }
    let missing = limiters.missing().join(", ");
    if settings.rate_limits && !missing.is_empty() {
        super::warn(&format!("not bound, so what they count is not limited: {missing}"));
    }
}
