//! The simulated Pi for `entry.mjs`, which makes a Worker of it: one function answers a request,
//! and the same calls after the same [`begin`] give the same answers again.

use std::cell::RefCell;

use http::{HeaderValue, Request};
use js_sys::{Array, Uint8Array};
use serde_json::json;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::{Answer, Faults, Ledger, PERSONAS};
use crate::time::UnixTime;

thread_local! {
    static STATE: RefCell<(Ledger, Faults)> =
        const { RefCell::new((Ledger::new(0), Faults::new())) };
}

/// Begins with an empty ledger. Another seed makes other ids: an app's database remembers payments
/// of earlier ledgers, so ids must not repeat.
#[wasm_bindgen]
pub fn begin(seed: f64) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "any number is a seed"
    )]
    let seed = seed as u64;
    STATE.set((Ledger::new(seed), Faults::new()));
}

/// The users and faults that a token stands for: a JSON array of `token` and `title`.
#[wasm_bindgen]
#[must_use]
pub fn personas() -> String {
    let personas =
        PERSONAS.iter().map(|persona| json!({"token": persona.token, "title": persona.title}));
    serde_json::Value::from_iter(personas).to_string()
}

/// Answers a request at a moment in milliseconds since 1970. The result is `"late"`, `"broken"`, or
/// an array of the status, the headers (an array of pairs) and the bytes of the body. It is
/// undefined for a request that HTTP does not allow.
#[wasm_bindgen]
#[must_use]
pub fn answer(
    method: &str,
    path: &str,
    authorization: Option<String>,
    content_type: Option<String>,
    body: Vec<u8>,
    milliseconds: f64,
) -> JsValue {
    let Some(question) = question(method, path, [authorization, content_type], body) else {
        return JsValue::UNDEFINED;
    };
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 fit")]
    let now = UnixTime::from_seconds(milliseconds as i64 / 1000).unwrap_or(UnixTime::MAX);
    let answer =
        STATE.with_borrow_mut(|(ledger, faults)| super::answer(&question, now, ledger, faults));
    match answer {
        Answer::Late => "late".into(),
        Answer::Broken => "broken".into(),
        Answer::Whole(whole) => {
            let headers = whole.headers().iter().map(|(name, value)| {
                Array::of2(&name.as_str().into(), &value.to_str().unwrap_or_default().into())
            });
            let headers = headers.collect::<Array>();
            let body = Uint8Array::from(whole.body().as_slice());
            Array::of3(&whole.status().as_u16().into(), &headers, &body).into()
        }
    }
}

/// The request, with the two headers that are read.
fn question(
    method: &str,
    path: &str,
    headers: [Option<String>; 2],
    body: Vec<u8>,
) -> Option<Request<Vec<u8>>> {
    let mut question = Request::new(body);
    *question.uri_mut() = path.parse().ok()?;
    *question.method_mut() = method.parse().ok()?;
    for (name, value) in ["authorization", "content-type"].into_iter().zip(headers) {
        if let Some(value) = value {
            question.headers_mut().insert(name, HeaderValue::from_str(&value).ok()?);
        }
    }
    Some(question)
}
