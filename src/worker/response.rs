//! A response as `entry.mjs` reads it.

use std::cell::RefCell;

use http::{HeaderName, Request, Response, header};

use super::{
    log,
    runtime::wire::{Fields, yes},
};
use crate::service::{ConsoleFile, LogEntry, Repeatable};

/// Headers with the same values in many responses: `entry.mjs` makes each set of them once.
const SHARED: [HeaderName; 12] = [
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::CACHE_CONTROL,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::REFERRER_POLICY,
    header::STRICT_TRANSPORT_SECURITY,
    header::VARY,
    header::WWW_AUTHENTICATE,
    header::X_CONTENT_TYPE_OPTIONS,
    HeaderName::from_static("cross-origin-resource-policy"),
];

/// The number of sets that `entry.mjs` keeps: a few for each allowed origin.
const MAX_SETS: usize = 256;

/// The bytes of a typical set of shared headers.
const SET_BYTES: usize = 640;

/// The bytes of a typical response besides its body: the log's line, ids and a cookie.
const HEAD_BYTES: usize = 512;

thread_local! {
    static SETS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The number of this set of headers, and whether it is new.
fn number(set: &[u8]) -> (usize, bool) {
    SETS.with_borrow_mut(|sets| {
        if let Some(number) = sets.iter().position(|known| known == set) {
            return (number, false);
        }
        if sets.len() == MAX_SETS {
            sets.clear();
        }
        sets.push(set.to_vec());
        (sets.len() - 1, true)
    })
}

/// Whether `entry.mjs` may keep the response for equal requests. It logs no line for those. It
/// keeps the request's text, too, so a text with credentials is not kept.
fn is_repeatable(request: &Request<Vec<u8>>, response: &Response<Vec<u8>>) -> bool {
    let has = |name| request.headers().contains_key(name);
    let extensions = response.extensions();
    extensions.get::<Repeatable>().is_some()
        && extensions.get().is_some_and(|entry: &LogEntry| !entry.is_logged)
        && !has(header::AUTHORIZATION)
        && !has(header::COOKIE)
}

/// Writes a response as a message. Its fields are the status, the console's method for the log's
/// line, the line, the request's id, whether the response is repeatable, whether counts are due to
/// be written, the name of the console's file that is the body, the number of its set of shared
/// headers, how many headers follow because their set is new, these headers, and the response's own
/// headers. Without a line, its two fields are empty, as is the name without a file.
pub(super) fn write(
    request: &Request<Vec<u8>>,
    response: &Response<Vec<u8>>,
    has_counts_due: bool,
) -> Vec<u8> {
    let (mut shared, mut count) = (Fields::with_capacity(SET_BYTES), 0);
    let (mut own, mut request_id) = (Fields::default(), &[][..]);
    for (name, value) in response.headers() {
        if name == "x-request-id" {
            request_id = value.as_bytes();
            continue;
        }
        let is_shared = SHARED.contains(name);
        count += usize::from(is_shared);
        let fields = if is_shared { &mut shared } else { &mut own };
        fields.push(name.as_str().as_bytes());
        fields.push(value.as_bytes());
    }
    let (number, is_new) = number(shared.as_bytes());
    let (shared, count) = if is_new { (shared.as_bytes(), count) } else { (&[][..], 0) };
    let log::Line { console, text } = log::request(request.method(), response).unwrap_or_default();
    let body = response.body();
    let mut message =
        Fields::with_capacity(HEAD_BYTES + shared.len() + own.as_bytes().len() + body.len());
    message.push(response.status().as_str().as_bytes());
    message.push(console.as_bytes());
    message.push(text.as_bytes());
    message.push(request_id);
    message.push(yes(is_repeatable(request, response)));
    message.push(yes(has_counts_due));
    let file = response.extensions().get();
    message.push(file.map_or(&[], |ConsoleFile(name)| name.as_bytes()));
    message.push(number.to_string().as_bytes());
    message.push(count.to_string().as_bytes());
    message.append(shared);
    message.append(own.as_bytes());
    message.with_body(body)
}
