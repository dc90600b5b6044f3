//! A request in the log: its event, the facts that its handler noted, and the time and the calls
//! that it took. An edge writes the line.

use std::borrow::Cow;

use super::{event::Event, pi_calls::PiCalls};
use crate::identifier::Identifier;

/// One request in the log. Every response carries it as an extension. It contains no token and no
/// line break. The only text from the request is the printable form of a rejected origin.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Also in the response's `X-Request-Id`.
    pub request_id: String,
    /// The route's path as [`super::route`] writes it, or `unknown`.
    pub route: &'static str,
    /// What happened.
    pub event: Event,
    /// The error's code.
    pub code: Option<&'static str>,
    /// The exact reason, which the response does not contain.
    pub reason: Option<String>,
    /// What the request is about.
    pub facts: Facts,
    /// `None` if no job answered the request.
    pub spent: Option<Spent>,
    /// Whether the request gets a line: `LOG_POLLS`.
    pub is_logged: bool,
}

/// What a request is about, as far as its handler came to know it. A refused request has the facts
/// that were known before. No fact is text that a client can choose freely: ids have the form of an
/// [`Identifier`], and are noted after the request's credential was found good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The user.
    pub uid: Option<Identifier>,
    /// The session.
    pub sid: Option<Identifier>,
    /// The order.
    pub order_id: Option<Identifier>,
    /// The payment.
    pub payment_id: Option<Identifier>,
    /// The ad.
    pub ad_id: Option<Identifier>,
    /// Whether the user signed in for the first time.
    pub is_new: Option<bool>,
    /// Whether the session is bound to the app of `PI_APP_ID`.
    pub app_bound: Option<bool>,
    /// The backend's name in `BACKEND_CREDENTIALS`.
    pub backend: Option<String>,
    /// The operator's name in `OPERATOR_CREDENTIALS`.
    pub operator: Option<String>,
    /// The event of a success, if it depends on more than the route.
    pub(super) event: Option<Event>,
}

impl Facts {
    /// The facts that name nobody.
    pub(super) fn without_ids(self) -> Self {
        let Self { is_new, app_bound, backend, operator, event, .. } = self;
        Self { is_new, app_bound, backend, operator, event, ..Self::default() }
    }
}

/// The time that a request or a scheduled run has taken so far, and its calls to Pi and to the
/// database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Milliseconds since it began.
    pub total_ms: u32,
    /// Requests to Pi.
    pub pi: PiCalls,
    /// The status of Pi's last answer, if there was one.
    pub pi_status: Option<u16>,
    /// Milliseconds of waiting for the database.
    pub d1_ms: u32,
    /// Calls of the database. A batch of statements is one call.
    pub d1_calls: u32,
    /// Rows that the database read.
    pub rows_read: u32,
    /// Rows that the database wrote, those of indexes included.
    pub rows_written: u32,
}

/// A fact about a successful request that its operator should know. A handler attaches it to the
/// response as an extension.
#[derive(Clone)]
pub(super) struct Warning(pub(super) Cow<'static, str>);
