//! Requests to Pi, classed by their outcome and by the time that they took, so that an operator
//! sees how fast Pi answers, and not only its average.

/// The outcomes, each with the classes of time: the label of a class is its upper bound in
/// milliseconds.
const LABELS: [[&str; CLASSES]; 3] = [
    ["ok.100", "ok.200", "ok.400", "ok.800", "ok.1600", "ok.3200", "ok.over"],
    [
        "refused.100",
        "refused.200",
        "refused.400",
        "refused.800",
        "refused.1600",
        "refused.3200",
        "refused.over",
    ],
    [
        "failed.100",
        "failed.200",
        "failed.400",
        "failed.800",
        "failed.1600",
        "failed.3200",
        "failed.over",
    ],
];

/// The upper bounds in milliseconds. Each is twice the one before, which is as exact as a person
/// needs. A request fails after five seconds, and one that completes a payment after ten.
const BOUNDS_MS: [u32; 6] = [100, 200, 400, 800, 1600, 3200];
const CLASSES: usize = BOUNDS_MS.len() + 1;

/// An outcome of a request to Pi, and a class of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PiCall(usize);

impl PiCall {
    /// The request that Pi answered with this status, or not at all.
    #[must_use]
    pub fn new(status: Option<u16>, milliseconds: u32) -> Self {
        let outcome = match status {
            Some(200..=299) => 0,
            Some(400..=499) => 1,
            // A redirect is no answer either: the Worker does not follow it.
            _ => 2,
        };
        let class = BOUNDS_MS.iter().position(|bound| milliseconds <= *bound);
        Self(outcome * CLASSES + class.unwrap_or(BOUNDS_MS.len()))
    }

    /// `<outcome>.<class>`.
    #[must_use]
    pub fn label(self) -> &'static str {
        LABELS.as_flattened().get(self.0).copied().unwrap_or_default()
    }
}

/// How many requests of a kind there were, and their milliseconds.
type Sum = (u32, u32);

/// The requests to Pi of a request or of a scheduled run, by their kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PiCalls([Sum; 3 * CLASSES]);

impl PiCalls {
    /// Adds one request.
    pub fn add(&mut self, status: Option<u16>, milliseconds: u32) {
        if let Some((calls, total)) = self.0.get_mut(PiCall::new(status, milliseconds).0) {
            *calls = calls.saturating_add(1);
            *total = total.saturating_add(milliseconds);
        }
    }

    /// The kinds that there were.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (PiCall, Sum)> + '_ {
        let found = self.0.iter().enumerate().filter(|(_, (calls, _))| *calls > 0);
        found.map(|(place, sum)| (PiCall(place), *sum))
    }

    /// How many requests there were.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.0.iter().fold(0, |sum, (calls, _)| sum.saturating_add(*calls))
    }

    /// The milliseconds that they took together.
    #[must_use]
    pub fn milliseconds(&self) -> u32 {
        self.0.iter().fold(0, |sum, (_, milliseconds)| sum.saturating_add(*milliseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::{PiCall, PiCalls};

    #[test]
    fn a_request_has_an_outcome_and_the_class_with_the_next_bound() {
        for (status, milliseconds, label) in [
            (Some(200), 0, "ok.100"),
            (Some(204), 100, "ok.100"),
            (Some(200), 101, "ok.200"),
            (Some(200), 3200, "ok.3200"),
            (Some(299), 3201, "ok.over"),
            (Some(400), 400, "refused.400"),
            (Some(499), u32::MAX, "refused.over"),
            (Some(301), 1, "failed.100"),
            (Some(500), 1601, "failed.3200"),
            (None, 5000, "failed.over"),
        ] {
            assert_eq!(PiCall::new(status, milliseconds).label(), label);
        }
    }

    #[test]
    fn requests_add_up_by_kind_and_in_all() {
        let mut calls = PiCalls::default();
        assert_eq!((calls.calls(), calls.milliseconds(), calls.kinds().count()), (0, 0, 0));
        for (status, milliseconds) in [(Some(200), 90), (Some(200), 10), (None, 5000)] {
            calls.add(status, milliseconds);
        }
        let kinds: Vec<_> = calls.kinds().map(|(kind, sum)| (kind.label(), sum)).collect();
        assert_eq!(kinds, [("ok.100", (2, 100)), ("failed.over", (1, 5000))]);
        assert_eq!((calls.calls(), calls.milliseconds()), (3, 5100));
    }
}
