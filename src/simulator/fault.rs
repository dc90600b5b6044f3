//! Faults on demand: which requests of the app fail, and how.

use serde::Deserialize;

/// The requests that an app makes with its key. `GET /v2/me` has its faults in
/// [`PERSONAS`](super::PERSONAS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// `GET /v2/payments/{id}`.
    Get,
    /// `POST /v2/payments/{id}/approve`.
    Approve,
    /// `POST /v2/payments/{id}/complete`.
    Complete,
    /// `POST /v2/payments/{id}/cancel`.
    Cancel,
    /// `GET /v2/ads_network/status/{id}`.
    Ad,
    /// `POST /v2/in_app_notifications/notify`.
    Notify,
    /// All of them.
    Any,
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The step happens; then the connection breaks.
    LoseAnswer,
    /// The step happens, but the answer is an error page.
    LoseAnswerHtml500,
    /// The step happens, but the answer comes after every deadline.
    Slow,
    /// An error page; the step does not happen.
    Html500,
    /// 429; the step does not happen.
    #[serde(rename = "429")]
    TooManyRequests,
    /// The connection breaks; the step does not happen.
    Break,
}

/// A rule: of the requests with this step, every n-th fails, until so many have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The requests.
    pub step: Step,
    /// The fault.
    #[serde(rename = "fault")]
    pub kind: FaultKind,
    /// 3: the third, the sixth, and so on. The default is every request.
    #[serde(default = "all")]
    pub every: core::num::NonZeroU32,
    /// How often in all. Without it, there is no limit.
    pub times: Option<u32>,
}

const fn all() -> core::num::NonZeroU32 {
    core::num::NonZeroU32::MIN
}

/// The rules in force.
#[derive(Debug, Default)]
pub struct Faults(Vec<(Fault, u32)>);

impl Faults {
    /// No faults.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a rule, which counts from now.
    pub fn add(&mut self, fault: Fault) {
        self.0.push((fault, 0));
    }

    /// Removes all rules.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault of a request. Every rule counts the request; the first rule that applies wins.
    pub(super) fn next(&mut self, step: Step) -> Option<FaultKind> {
        let mut applies = None;
        for (fault, seen) in &mut self.0 {
            if fault.step != step && fault.step != Step::Any {
                continue;
            }
            *seen = seen.saturating_add(1);
            let is_left = fault.times.is_none_or(|times| *seen / fault.every <= times);
            if *seen % fault.every == 0 && is_left {
                applies = applies.or(Some(fault.kind));
            }
        }
        applies
    }
}
