//! The simulated Pi as a Worker: the same answers over HTTP, the script that a page loads instead
//! of `https://sdk.minepi.com/pi-sdk.js`, and the page instead of
//! `https://accounts.pinet.com/oauth/authorize`.

use std::cell::RefCell;

use http::{HeaderValue, Request};
use serde_json::json;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::event;

use super::{Answer, Faults, Ledger, PERSONAS, answer};
use crate::time::UnixTime;

/// Later than any deadline of the service, and sooner than a developer gives up.
const LATE_MILLISECONDS: f64 = 30_000.0;

const SDK: &str = include_str!("sdk.js");

const AUTHORIZE: &str = include_str!("authorize.html");
const AUTHORIZE_SCRIPT: &str = include_str!("authorize.js");
/// No markup from a request runs on this page, and no other page may show it in a frame.
const AUTHORIZE_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

thread_local! {
    /// One isolate serves all of development, and forgets everything when it ends.
    static STATE: RefCell<Option<(Ledger, Faults)>> = const { RefCell::new(None) };
}

#[event(fetch)]
async fn fetch(
    request: web_sys::Request,
    _env: worker::Env,
    _context: worker::Context,
) -> worker::Result<web_sys::Response> {
    let url = request.url();
    let path = url.parse::<http::Uri>().map(|uri| uri.path().to_owned()).unwrap_or_default();
    match path.as_str() {
        "/sdk.js" => return respond(200, "text/javascript; charset=utf-8", SDK.as_bytes()),
        "/simulator/personas" => {
            let personas = PERSONAS
                .iter()
                .map(|persona| json!({"token": persona.token, "title": persona.title}));
            let list = serde_json::Value::from_iter(personas).to_string();
            return respond(200, "application/json", list.as_bytes());
        }
        "/oauth/authorize" => return authorize(&url),
        "/oauth/authorize.js" => {
            return respond(200, "text/javascript; charset=utf-8", AUTHORIZE_SCRIPT.as_bytes());
        }
        _ => {}
    }
    let Ok(question) = question(&request).await else { return respond(400, "", b"") };
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 fit")]
    let milliseconds = js_sys::Date::now() as i64;
    let now = UnixTime::from_seconds(milliseconds / 1000).unwrap_or(UnixTime::MAX);
    let answer = STATE.with_borrow_mut(|state| {
        let (ledger, faults) = state.get_or_insert_with(|| {
            // The app's database remembers payments of earlier runs, so ids must not repeat.
            (Ledger::new(milliseconds.unsigned_abs()), Faults::new())
        });
        answer(&question, now, ledger, faults)
    });
    match answer {
        Answer::Whole(whole) => {
            let content_type = whole.headers().get("content-type");
            let content_type = content_type.and_then(|value| value.to_str().ok());
            let response =
                respond(whole.status().as_u16(), content_type.unwrap_or_default(), whole.body())?;
            for (name, value) in whole.headers() {
                response.headers().set(name.as_str(), value.to_str().unwrap_or_default())?;
            }
            Ok(response)
        }
        Answer::Late => {
            wait(LATE_MILLISECONDS).await?;
            respond(200, "application/json", b"{}")
        }
        // A Worker cannot close a connection. An error becomes a closed connection.
        Answer::Broken => Err("the connection breaks".into()),
    }
}

/// The request, with the two headers that are read.
async fn question(request: &web_sys::Request) -> worker::Result<Request<Vec<u8>>> {
    let body = JsFuture::from(request.array_buffer()?).await?;
    let mut question = Request::new(js_sys::Uint8Array::new(&body).to_vec());
    *question.uri_mut() = request.url().parse().map_err(|_| "not a URL")?;
    *question.method_mut() = request.method().parse().map_err(|_| "not a method")?;
    for name in ["authorization", "content-type"] {
        if let Some(value) = request.headers().get(name)? {
            let value = HeaderValue::from_str(&value).map_err(|_| "not a header")?;
            question.headers_mut().insert(name, value);
        }
    }
    Ok(question)
}

/// The page of Pi Sign-in, or a page that names the problem of the request.
fn authorize(url: &str) -> worker::Result<web_sys::Response> {
    let (status, page) = match problem(&url.parse()?) {
        None => (200, AUTHORIZE.to_owned()),
        Some(problem) => (
            400,
            format!("<!doctype html><title>Simulated Pi: development only</title><p>{problem}</p>"),
        ),
    };
    let response = respond(status, "text/html; charset=utf-8", page.as_bytes())?;
    response.headers().set("content-security-policy", AUTHORIZE_POLICY)?;
    response.headers().set("referrer-policy", "no-referrer")?;
    Ok(response)
}

/// The problem of a sign-in request. It never repeats the request's text.
fn problem(url: &worker::Url) -> Option<&'static str> {
    let one = |name| {
        let mut values = url.query_pairs().filter(|(key, _)| key == name);
        values.next().filter(|(_, value)| !value.is_empty() && values.next().is_none())
    };
    if one("response_type").is_none_or(|(_, kind)| kind != "token") {
        return Some("response_type must be token, once: Pi Sign-in has no other flow.");
    }
    if one("client_id").is_none() {
        return Some("client_id must be there, once.");
    }
    if url.query_pairs().filter(|(key, _)| key == "state").count() > 1 {
        return Some("state must not be there twice.");
    }
    let target = one("redirect_uri").and_then(|(_, target)| target.parse::<worker::Url>().ok());
    if target.is_none_or(|target| !returnable(&target)) {
        return Some(
            "redirect_uri must be there, once: an https URL, or http on this machine, without a fragment.",
        );
    }
    None
}

/// Whether Pi redirects to this address. Every other scheme, `javascript:` among them, is rejected.
fn returnable(target: &worker::Url) -> bool {
    let secure = match target.scheme() {
        "https" => true,
        "http" => matches!(target.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")),
        _ => false,
    };
    secure && target.username().is_empty() && target.fragment().is_none()
}

fn respond(status: u16, content_type: &str, body: &[u8]) -> worker::Result<web_sys::Response> {
    let init = web_sys::ResponseInit::new();
    init.set_status(status);
    let mut body = body.to_vec();
    // 204 must have no body at all, not even an empty one.
    let body = (!body.is_empty()).then_some(body.as_mut_slice());
    let response = web_sys::Response::new_with_opt_u8_array_and_init(body, &init)?;
    if content_type.is_empty() {
        response.headers().delete("content-type")?;
    } else {
        response.headers().set("content-type", content_type)?;
    }
    // Pages of any origin may load the script and ask for the personas.
    response.headers().set("access-control-allow-origin", "*")?;
    Ok(response)
}

async fn wait(milliseconds: f64) -> worker::Result<()> {
    let scope: web_sys::WorkerGlobalScope = wasm_bindgen::JsCast::unchecked_into(js_sys::global());
    let timer = js_sys::Promise::new(&mut |done, _| {
        let set_timeout =
            js_sys::Reflect::get(&scope, &"setTimeout".into()).unwrap_or(JsValue::UNDEFINED);
        let set_timeout: js_sys::Function = wasm_bindgen::JsCast::unchecked_into(set_timeout);
        drop(set_timeout.call2(&scope, &done, &milliseconds.into()));
    });
    JsFuture::from(timer).await?;
    Ok(())
}
