//! What the service counts for its operator, and the numbers that a process has counted and not
//! written yet. Sign-ins and paid orders are counted exactly, in the database. Everything else is
//! counted here and written from time to time, so a flood of requests writes no flood of rows. A
//! process that ends takes at most the numbers of five minutes with it.

use std::mem;

use super::{pi_calls::PiCall, problem::Code};
use crate::time::UnixTime;

/// How long the numbers of an hour are kept, in seconds: a week, and the day that has begun.
pub const HOURS_KEPT: u32 = 8 * 24 * 3600;

/// How long the numbers of a day are kept, in seconds: a year, and a month to compare with.
pub const DAYS_KEPT: u32 = 400 * 24 * 3600;

/// Seconds from one write to the next.
const PAUSE_SECONDS: i64 = 300;

/// So many refreshes are written earlier. They wrote as many rows themselves. A refusal wrote none,
/// so no number of refusals hastens a write.
const MANY: u32 = 1000;

/// The shortest time between two writes, in seconds. A write fails after five, so two never
/// overlap.
const SHORTEST_PAUSE_SECONDS: i64 = 10;

/// The most numbers that a process keeps while the database fails: about a day of them.
const MAX_NUMBERS: usize = 1000;

/// Everything that a process counts. The list is closed, so a request cannot add a name or a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// A refresh of a session.
    Refresh,
    /// A request that was answered with this code.
    Refused(Code),
    /// A request to Pi; its amount is the time in milliseconds.
    Pi(PiCall),
    /// A call of the database; its amount is the rows that the database read.
    D1Read,
    /// A call of the database in a request that wrote; its amount is the rows.
    D1Written,
}

impl Count {
    /// The name and the label, as they are stored.
    #[must_use]
    pub fn names(self) -> [&'static str; 2] {
        match self {
            Self::Refresh => ["refresh", ""],
            Self::Refused(code) => ["refused", code.name()],
            Self::Pi(call) => ["pi", call.label()],
            Self::D1Read => ["d1", "read"],
            Self::D1Written => ["d1", "written"],
        }
    }
}

/// A number of events, and the sum of their amounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many events.
    pub n: u64,
    /// The sum of their amounts, for events that have one.
    pub total: u64,
}

/// A number, with the beginning of its hour.
pub type Counted = (UnixTime, Count, Sum);

/// The numbers that a process has counted and not written yet.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// A few dozen: a search through them takes no time.
    counted: Vec<Counted>,
    /// How many events hasten the next write.
    hastening: u32,
    /// When the last write began.
    written_at: Option<UnixTime>,
}

impl Tally {
    /// Counts `sum` at this time.
    pub(super) fn add(&mut self, what: Count, sum: Sum, now: UnixTime) {
        if what == Count::Refresh {
            self.hastening = self.hastening.saturating_add(1);
        }
        self.add_to(now.hour(), what, sum);
    }

    fn add_to(&mut self, hour: UnixTime, what: Count, sum: Sum) {
        let same = self.counted.iter_mut().find(|found| (found.0, found.1) == (hour, what));
        if let Some((_, _, found)) = same {
            found.n = found.n.saturating_add(sum.n);
            found.total = found.total.saturating_add(sum.total);
        } else if self.counted.len() < MAX_NUMBERS {
            self.counted.push((hour, what, sum));
        }
    }

    /// Whether it is time for a write.
    pub(super) fn is_due(&self, now: UnixTime) -> bool {
        let pause = if self.hastening < MANY { PAUSE_SECONDS } else { SHORTEST_PAUSE_SECONDS };
        // A clock that was set back must not stop the writes.
        let is_pausing = self.written_at.is_some_and(|at| (0..pause).contains(&now.since(at)));
        !self.counted.is_empty() && !is_pausing
    }

    /// Takes the numbers, if it is time for a write.
    pub(super) fn take(&mut self, now: UnixTime) -> Option<Vec<Counted>> {
        if self.is_due(now) { self.take_all(now) } else { None }
    }

    /// Takes the numbers, if there are any.
    pub(super) fn take_all(&mut self, now: UnixTime) -> Option<Vec<Counted>> {
        if self.counted.is_empty() {
            return None;
        }
        (self.hastening, self.written_at) = (0, Some(now));
        Some(mem::take(&mut self.counted))
    }

    /// Takes back the numbers that could not be written.
    pub(super) fn take_back(&mut self, counted: Vec<Counted>) {
        for (hour, what, sum) in counted {
            self.add_to(hour, what, sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Count, MANY, MAX_NUMBERS, Sum, Tally};
    use crate::time::UnixTime;

    const ONE: Sum = Sum { n: 1, total: 0 };
    const REFUSED: Count = Count::Refused(Code::SessionInvalid);

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds).unwrap()
    }

    #[test]
    fn the_first_number_is_due_at_once_and_the_next_ones_after_five_minutes() {
        let mut tally = Tally::default();
        assert!(!tally.is_due(at(1000)), "there is nothing to write");
        tally.add(REFUSED, ONE, at(1000));
        assert_eq!(tally.take(at(1000)).unwrap(), [(at(0), REFUSED, ONE)]);
        for now in 1000..1300 {
            tally.add(REFUSED, ONE, at(now));
            tally.add(REFUSED, ONE, at(now));
            tally.add(REFUSED, ONE, at(now));
            tally.add(REFUSED, ONE, at(now));
            assert!(!tally.is_due(at(now)), "{now}");
        }
        assert!(tally.is_due(at(1300)) && tally.is_due(at(900)), "also if the clock was set back");
        assert_eq!(tally.take(at(1300)).unwrap(), [(at(0), REFUSED, Sum { n: 1200, total: 0 })]);
    }

    #[test]
    fn a_thousand_refreshes_are_due_earlier_but_two_writes_never_overlap() {
        let mut tally = Tally::default();
        tally.add(REFUSED, ONE, at(1000));
        tally.take(at(1000)).unwrap();
        for _ in 0..MANY {
            assert!(!tally.is_due(at(1100)));
            tally.add(Count::Refresh, ONE, at(1000));
        }
        assert!(!tally.is_due(at(1005)));
        assert!(tally.is_due(at(1010)));
    }

    #[test]
    fn numbers_that_were_not_written_are_kept_once_in_their_hours_and_bounded() {
        let mut tally = Tally::default();
        tally.add(REFUSED, ONE, at(3599));
        tally.add(Count::Refresh, Sum { n: 2, total: 7 }, at(3600));
        let taken = tally.take(at(3600)).unwrap();
        tally.add(Count::Refresh, ONE, at(3601));
        tally.take_back(taken);
        assert!(!tally.is_due(at(3601)));
        let mut taken = tally.take(at(3900)).unwrap();
        taken.sort_by_key(|(hour, ..)| *hour);
        let refreshes = Sum { n: 3, total: 7 };
        assert_eq!(taken, [(at(0), REFUSED, ONE), (at(3600), Count::Refresh, refreshes)]);

        for hour in 0..2000 {
            tally.add(REFUSED, ONE, at(hour * 3600));
        }
        assert_eq!(tally.counted.len(), MAX_NUMBERS);
    }
}
