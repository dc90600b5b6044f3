//! The deployment, as operators see it: `/admin/settings` and `/admin/keys`. Of secrets, both say
//! only whether they are set; of keys, they show the public half.

use http::Response;

use super::{
    object::{Array, Object, quoted},
    records::{Records as _, Schema},
};
use crate::{
    service::{
        answer,
        app::{App, Ports},
        error::Error,
        limit::{Limit, Limiter},
        settings::Settings,
    },
    time::UnixTime,
};

/// The version of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `GET /admin/settings`: 200 with the settings in force, the secrets and bindings that are set,
/// and the migrations of the database.
pub(in crate::service) async fn settings<P: Ports>(
    app: &App<'_, P>,
) -> Result<Response<Vec<u8>>, Error> {
    let Schema { newest, missing } = app.store.schema().await?;
    let mut vars = Array::new();
    app.settings.vars(&mut |name, value| {
        vars.push(&Object::new().text("name", name).maybe("value", value).end());
    });
    let mut bindings = Array::new();
    bindings.push(&is_set("DB", true));
    for limit in Limit::ALL {
        bindings.push(&is_set(limit.binding(), app.limiter.is_bound(limit)));
    }
    let secrets = Array::of(&app.settings.secrets(), |(name, is)| is_set(name, *is));
    let missing = Array::of(&missing, |name| quoted(name));
    let schema = Object::new().text("newest", newest).raw("missing", &missing).end();
    let mut object = Object::new();
    object
        .raw("settings", &vars.end())
        .raw("secrets", &secrets)
        .raw("bindings", &bindings.end())
        .raw("schema", &schema)
        .text("version", VERSION);
    Ok(answer::json_text(object.end().into_bytes()))
}

/// The name of something, and whether it is set.
#[inline(never)]
fn is_set(name: &str, is_set: bool) -> String {
    Object::new().text("name", name).flag("isSet", is_set).end()
}

/// `GET /admin/keys`: 200 with the public keys, their states, and since when they have them.
pub(in crate::service) async fn keys<P: Ports>(
    app: &App<'_, P>,
) -> Result<Response<Vec<u8>>, Error> {
    let mut keys = Array::new();
    for (key, state, since) in app.settings.keys.states() {
        let mut object = Object::new();
        object.text("kid", key.kid()).text("state", state).time("since", since);
        if let Some(days) = age_in_days(app.settings, key.kid(), app.now()) {
            object.number("ageDays", days);
        }
        keys.push(&object.raw("jwk", &key.to_jwk()).end());
    }
    let answer = Object::new().raw("keys", &keys.end()).end();
    Ok(answer::json_text(answer.into_bytes()))
}

/// For how many days the key has had its state, if that is known.
pub(super) fn age_in_days(settings: &Settings, kid: &str, now: UnixTime) -> Option<u64> {
    let (.., since) = settings.keys.states().find(|(key, ..)| key.kid() == kid)?;
    u64::try_from(now.since(since?) / 86_400).ok()
}
