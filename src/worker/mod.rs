//! The Cloudflare edge: the entry points of a job, and Cloudflare's side of the service's ports.
//! The service itself is in `service`; `runtime` explains how a job runs, and
//! `docs/decisions/own-entry.md` why the Worker has an entry of its own.

pub mod config;
mod d1;
mod fetch;
mod limiter;
mod log;
mod migrations;
mod request;
mod response;
pub mod runtime;
mod signer;

use std::{cell::Cell, marker::PhantomData, rc::Rc};

use wasm_bindgen::prelude::wasm_bindgen;

use self::{
    config::Bindings,
    d1::D1Store,
    runtime::job::{self, Job},
};
use crate::service::{self, App, Clock as _, Entropy, Environment, Event, Ports};

/// Begins to answer the request in the input, and returns the state of its job. When the job is
/// done, the response has been put out.
#[wasm_bindgen]
pub fn begin(id: u32, length: usize, milliseconds: f64) -> u8 {
    // Read now: while the body is awaited, a request with other bindings may begin.
    let bindings = config::bindings();
    let job = request::parse(&job::take(length))
        .map(|(entropy, request)| -> Job { Box::pin(answer(request, entropy, bindings)) });
    job::begin(id, milliseconds, job)
}

/// Puts out the answer to a request whose job was stopped. The input is the same as for [`begin`].
#[wasm_bindgen]
pub fn stopped(length: usize) {
    // The output of another job must not become the answer to this one.
    job::put(Vec::new());
    if let Some((entropy, request)) = request::parse(&job::take(length)) {
        let bindings = config::bindings();
        let settings = bindings.as_ref().as_ref().ok().map(|bindings| &bindings.settings);
        let response = service::internal("the job was stopped", &request, entropy, settings);
        job::put(response::write(&request, &response, false));
    }
}

/// Begins to write what was counted, and returns the state of its job. `entry.mjs` calls it after a
/// response that says that this is due.
#[wasm_bindgen]
pub fn count(id: u32, milliseconds: f64) -> u8 {
    job::begin(
        id,
        milliseconds,
        Some(Box::pin(async {
            if let Ok(bindings) = &*config::bindings() {
                write_counts(&app(bindings).await).await;
            }
        })),
    )
}

/// Begins the run of every few minutes (`crons` in wrangler.toml), and returns the state of its
/// job: it finishes payments that stopped between two steps, and deletes expired rows or, once an
/// hour, makes the numbers for the operator.
#[wasm_bindgen]
pub fn schedule(id: u32, milliseconds: f64) -> u8 {
    job::begin(id, milliseconds, Some(Box::pin(reconcile())))
}

async fn answer(mut request: http::Request<Vec<u8>>, entropy: Entropy, bindings: Rc<config::Read>) {
    let (response, has_counts_due) = match &*bindings {
        Ok(bindings) => {
            let app = app(bindings).await;
            let limit = service::body_limit(&app, &request);
            request::read_body(&mut request, limit).await;
            let response = service::handle(&app, &request, entropy).await;
            (response, app.has_counts_due())
        }
        Err(setting) => (service::misconfigured(setting, &request, entropy), false),
    };
    job::put(response::write(&request, &response, has_counts_due));
}

async fn reconcile() {
    let bindings = config::bindings();
    let Ok(bindings) = &*bindings else {
        let message = "payments were not reconciled: a setting is missing or malformed";
        return log::warn(Event::ReconcileFailed, message);
    };
    let app = app(bindings).await;
    let reconciled = service::reconcile(&app).await;
    let counted = service::keep_counts(&app, &reconciled).await;
    if let Err(error) = &counted {
        log::warn(Event::CountsFailed, &format!("the numbers were not made: {error}"));
    }
    // Also after a failure: the tables must not grow without end. On a free plan, a run that has
    // made the numbers has no statements left.
    let swept = match counted {
        Ok(true) => None,
        _ => Some(service::sweep(&app).await),
    };
    if let Some(Err(error)) = &swept {
        let message = format!("expired rows were not deleted: {}", error.code());
        log::warn(Event::SweepFailed, &message);
    }
    let spent = app.clock.spent();
    app.count_spent(&spent);
    // Once an hour, because nobody needs these numbers earlier and each write costs rows.
    if let Ok(true) = counted {
        write_counts(&app).await;
    }
    match reconciled {
        Ok(reconciled) => log::reconciled(&reconciled, swept.and_then(Result::ok), spent),
        Err(error) => {
            let message = format!("payments were not reconciled: {}", error.code());
            log::warn(Event::ReconcileFailed, &message);
        }
    }
}

async fn write_counts(app: &App<'_, Cloudflare<'_>>) {
    if let Err(error) = service::write_counts(app).await {
        log::warn(Event::CountsFailed, &format!("counts were not written, and are kept: {error}"));
    }
}

/// Cloudflare's side of the ports.
struct Cloudflare<'a>(PhantomData<&'a Bindings>);

impl<'a> Ports for Cloudflare<'a> {
    type Clock = job::Clock;
    type Store = D1Store<'a>;
    type Transport = fetch::Fetch;
    type Limiter = limiter::Limiter<'a>;
    type Signer = signer::WebCrypto<'a>;
}

async fn app(bindings: &Bindings) -> App<'_, Cloudflare<'_>> {
    let Bindings { settings, memory, database, counts, limiters, key, is_set_up } = bindings;
    let store = D1Store::new(database, counts, migrations::MIGRATIONS);
    let limiter = limiter::Limiter(limiters);
    if settings.environment == Environment::Development {
        migrations::apply(&store, is_set_up).await;
    }
    App {
        settings,
        memory,
        clock: job::Clock,
        store,
        transport: fetch::Fetch,
        limiter,
        signer: signer::WebCrypto(key),
        has_console_file: runtime::host::has_console_file,
        facts: Cell::default(),
    }
}
