//! Faults on demand: which requests of the app go wrong, and how.

use serde::Deserialize;

/// What an app asks with its key. `GET /v2/me` has its faults in [`PERSONAS`](super::PERSONAS).
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

/// How it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The step happens; then the connection breaks.
    LoseAnswer,
    /// The step happens; the answer is an error page all the same.
    LoseAnswerHtml500,
    /// The step happens; the answer comes after every deadline.
    Slow,
    /// An error page; the step does not happen.
    Html500,
    /// 429; the step does not happen.
    #[serde(rename = "429")]
    TooManyRequests,
    /// The connection breaks; the step does not happen.
    Break,
}

/// A rule: of the requests that take this step, every so-manieth goes wrong, until it has happened so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which requests.
    pub step: Step,
    /// How they go wrong.
    #[serde(rename = "fault")]
    pub kind: FaultKind,
    /// 3: the third, the sixth, and so on. By default all.
    #[serde(default = "all")]
    pub every: core::num::NonZeroU32,
    /// How often in all; without it, for ever.
    pub times: Option<u32>,
}

const fn all() -> core::num::NonZeroU32 {
    core::num::NonZeroU32::MIN
}

/// The rules that hold.
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

    /// Nothing goes wrong any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What happens to a request. Every rule counts it; the first one that applies wins.
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
