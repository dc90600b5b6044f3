//! The stored numbers, added up: of today, of the same day a week ago, and of each point of a
//! range.

use super::{
    list::Query,
    object::{Array, Object},
    payments::STUCK_AFTER,
    records::{Figures, Mark, Number, Period},
};
use crate::{pi::Amount, service::error::Error, time::UnixTime};

/// One hour and one day, in seconds.
const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;
/// So many seconds ago, it was the same hour of the same day of the week.
const WEEK: u32 = 7 * DAY;

/// Thirty days, in seconds: for so long, a cancelled payment with a transaction needs an operator.
/// Nothing stored says that the user was repaid.
const CONTRADICTORY_FOR: u32 = 30 * DAY;

/// The rows of a day that Cloudflare's free plan lets D1 read and write.
pub(super) const FREE_READ: u64 = 5_000_000;
pub(super) const FREE_WRITTEN: u64 = 100_000;

/// The upper bounds of the classes of Pi's times, in milliseconds. Slower calls are in one more
/// class, `over`.
const CLASSES: [u64; 6] = [100, 200, 400, 800, 1600, 3200];

/// A range of the series.
pub(super) struct Range {
    /// Seconds from one point to the next.
    step: u32,
    points: u32,
}

impl Range {
    /// The range of the query: 400.
    pub(super) fn read(query: &Query<'_>) -> Result<Self, Error> {
        let (step, points) = match query.one("range")?.as_deref() {
            None | Some("24h") => (HOUR, 24),
            Some("7d") => (HOUR, 7 * 24),
            Some("30d") => (DAY, 30),
            Some("90d") => (DAY, 90),
            Some(_) => {
                return Err(Error::InvalidRequest(
                    "range is not valid. Send 24h, 7d, 30d or 90d, or leave it out.",
                ));
            }
        };
        Ok(Self { step, points })
    }

    /// The beginning of the first point.
    fn since(&self, now: UnixTime) -> UnixTime {
        let last = if self.step == DAY { now.day() } else { now.hour() };
        last.minus((self.points - 1) * self.step)
    }
}

/// The times whose numbers an overview of this range needs.
pub(super) fn period(range: &Range, now: UnixTime) -> Period {
    let days_since = (range.step == DAY).then(|| range.since(now));
    // Of the hours, today is always read, and the last hour, which may be yesterday's.
    let recent = now.day().min(now.hour().minus(HOUR));
    let hours_since = if days_since.is_some() { recent } else { recent.min(range.since(now)) };
    Period {
        earlier: (now.day().minus(WEEK), now.hour().minus(WEEK)),
        hours_since,
        days_since,
        yesterday: now.day().minus(DAY),
        stuck_before: now.minus(STUCK_AFTER),
        contradictory_since: now.minus(CONTRADICTORY_FOR),
    }
}

/// The numbers of a time.
#[derive(Clone, Default)]
pub(super) struct Totals {
    new: u64,
    returning: u64,
    refreshes: u64,
    /// Paid orders, and their stroops.
    paid: (u64, u64),
    /// By code.
    refused: Vec<(String, u64)>,
    pub(super) pi_calls: u64,
    pub(super) pi_failed: u64,
    pi_ms: u64,
    /// Pi's calls by their time: those of [`CLASSES`], then the slower ones.
    classes: [u64; CLASSES.len() + 1],
    pub(super) rows_read: u64,
    pub(super) rows_written: u64,
}

impl Totals {
    fn add(&mut self, Number { name, label, n, total, .. }: &Number) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        match (name.as_str(), label.as_str()) {
            ("sign_in", "new") => add(&mut self.new, *n),
            ("sign_in", _) => add(&mut self.returning, *n),
            ("refresh", _) => add(&mut self.refreshes, *n),
            ("paid", _) => {
                add(&mut self.paid.0, *n);
                add(&mut self.paid.1, *total);
            }
            ("refused", code) => match self.refused.iter_mut().find(|(known, _)| known == code) {
                Some((_, sum)) => add(sum, *n),
                None => self.refused.push((code.to_owned(), *n)),
            },
            ("d1", "read") => add(&mut self.rows_read, *total),
            ("d1", "written") => add(&mut self.rows_written, *total),
            ("pi", label) => {
                let (outcome, class) = label.split_once('.').unwrap_or((label, ""));
                add(&mut self.pi_calls, *n);
                add(&mut self.pi_ms, *total);
                if outcome == "failed" {
                    add(&mut self.pi_failed, *n);
                }
                let class = class
                    .parse()
                    .ok()
                    .and_then(|bound: u64| CLASSES.iter().position(|known| *known == bound));
                if let Some(sum) = self.classes.get_mut(class.unwrap_or(CLASSES.len())) {
                    add(sum, *n);
                }
            }
            _ => {}
        }
    }

    /// How often a request was refused with this code.
    pub(super) fn refused_with(&self, code: &str) -> u64 {
        self.refused.iter().find(|(known, _)| known == code).map_or(0, |(_, n)| *n)
    }

    /// The upper bound of the class in which the call is that is slower than this percentage of all
    /// calls.
    fn under_ms(&self, percent: u64) -> Option<u64> {
        let needed = self.pi_calls.saturating_mul(percent).div_ceil(100);
        let mut sum: u64 = 0;
        let mut classes = self.classes.iter().zip(CLASSES);
        let found = classes.find(|(n, _)| {
            sum = sum.saturating_add(**n);
            sum >= needed
        });
        found.filter(|_| needed > 0).map(|(_, bound)| bound)
    }

    fn write_paid(&self, object: &mut Object) {
        let (count, stroops) = self.paid;
        let amount = Amount::from_stroops(stroops);
        let paid = Object::new().number("count", count).amount("amount", amount).end();
        object.raw("paid", &paid);
    }

    /// As a whole day.
    fn day(&self, since: UnixTime) -> String {
        // A few dozen at most: a sort would take kilobytes of wasm, and nothing else needs one.
        let mut sorted: Vec<(u64, &str)> = Vec::new();
        for (code, n) in &self.refused {
            let place = (n, code.as_str());
            let is_before = |(m, other): &&(u64, &str)| (place.0, *other) < (m, place.1);
            sorted.insert(sorted.iter().take_while(is_before).count(), (*n, code));
        }
        let refused = Array::of(&sorted, |(n, code)| {
            Object::new().text("code", code).number("count", *n).end()
        });
        let mut pi = Object::new();
        pi.number("calls", self.pi_calls).number("failed", self.pi_failed);
        for (name, percent) in [("halfUnderMs", 50), ("most95UnderMs", 95)] {
            if let Some(bound) = self.under_ms(percent) {
                pi.number(name, bound);
            }
        }
        let mut d1 = Object::new();
        d1.number("rowsRead", self.rows_read)
            .number("rowsWritten", self.rows_written)
            .raw("shareRead", &share(self.rows_read, FREE_READ))
            .raw("shareWritten", &share(self.rows_written, FREE_WRITTEN));
        let mut object = Object::new();
        object
            .time("since", since)
            .number("signIns", self.new.saturating_add(self.returning))
            .number("newUsers", self.new)
            .number("refreshes", self.refreshes);
        self.write_paid(&mut object);
        object.raw("refused", &refused).raw("pi", &pi.end()).raw("d1", &d1.end()).end()
    }

    /// As a point of the series.
    fn point(&self, at: UnixTime) -> String {
        let mut refused = Object::new();
        for (code, n) in &self.refused {
            refused.number(code, *n);
        }
        let mut pi = Object::new();
        pi.number("calls", self.pi_calls).number("failed", self.pi_failed).number("ms", self.pi_ms);
        let mut object = Object::new();
        object.time("at", at).number("newUsers", self.new).number("returning", self.returning);
        self.write_paid(&mut object);
        object.raw("refused", &refused.end()).raw("pi", &pi.end()).end()
    }
}

/// A share of a whole with four decimals, without floating point: formatting it takes kilobytes of
/// wasm.
fn share(part: u64, whole: u64) -> String {
    let share = part.saturating_mul(10_000) / whole;
    format!("{}.{:04}", share / 10_000, share % 10_000)
}

/// The figures, added up.
pub(super) struct Summary {
    figures: Figures,
    pub(super) today: Totals,
    /// Of this hour and of the last one.
    pub(super) recent: [Totals; 2],
    earlier: Option<Totals>,
    points: Vec<Totals>,
}

impl Summary {
    pub(super) fn new(mut figures: Figures, range: &Range, period: &Period, now: UnixTime) -> Self {
        // Since the last roll-up, orders were paid that the stored numbers do not have yet.
        let live_since = figures.mark("roll_up").map_or(UnixTime::MIN, |mark| mark.at.hour());
        figures.hours.retain(|number| number.name != "paid" || number.at < live_since);
        figures.hours.append(&mut figures.paid);

        let first = range.since(now);
        let mut points = vec![Totals::default(); range.points as usize];
        let mut add = |number: &Number, at: UnixTime| {
            let point = usize::try_from(at.since(first) / i64::from(range.step));
            let is_before = at < first;
            if let Some(point) = point.ok().and_then(|at| points.get_mut(at)).filter(|_| !is_before)
            {
                point.add(number);
            }
        };
        let (mut today, mut recent) = (Totals::default(), [Totals::default(), Totals::default()]);
        let mut earlier: Option<Totals> = None;
        let [this, last] = &mut recent;
        for number in &figures.hours {
            let at = number.at;
            if at <= period.earlier.1 {
                earlier.get_or_insert_default().add(number);
                continue;
            }
            if at >= now.day() {
                today.add(number);
            }
            if at == now.hour() {
                this.add(number);
            } else if at == now.hour().minus(HOUR) {
                last.add(number);
            }
            // Of the days, only today's is made of hours.
            if range.step == HOUR || at >= now.day() {
                add(number, at);
            }
        }
        if range.step == DAY {
            let past = figures.days.iter().filter(|number| number.at < now.day());
            past.for_each(|number| add(number, number.at));
        }
        Self { figures, today, recent, earlier, points }
    }

    /// The mark with this name.
    pub(super) fn mark(&self, name: &str) -> Option<&Mark> {
        self.figures.mark(name)
    }

    /// The stuck payments.
    pub(super) const fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Adds the last run of the scheduled event, which is stored also when nothing is counted.
    pub(super) fn write_run(&self, object: &mut Object) {
        if let Some(Mark { at, value, .. }) = self.mark("run") {
            object.raw("run", &Object::new().time("at", *at).raw("outcome", value).end());
        }
    }

    /// Adds the members of the overview that are made of figures.
    pub(super) fn write(&self, object: &mut Object, range: &Range, period: &Period, now: UnixTime) {
        object.raw("today", &self.today.day(now.day()));
        if let Some(earlier) = &self.earlier {
            object.raw("weekAgo", &earlier.day(period.earlier.0));
        }
        let mut stock = Object::new();
        for (name, mark) in [("users", "users"), ("liveSessions", "live_sessions")] {
            if let Some(Mark { at, value, .. }) = self.mark(mark)
                && let Ok(count) = value.parse()
            {
                stock.raw(name, &Object::new().number("count", count).time("at", *at).end());
            }
        }
        let mut days = self.figures.days.iter();
        let active =
            days.find(|number| number.name == "active_user" && number.at == period.yesterday);
        if let Some(active) = active {
            stock.raw("activeYesterday", &Object::new().number("count", active.n).end());
        }
        object.raw("stock", &stock.end());
        let mut at = range.since(now);
        let mut points = Array::new();
        for totals in &self.points {
            points.push(&totals.point(at));
            at = at.plus(range.step);
        }
        let unit = if range.step == HOUR { "hour" } else { "day" };
        let series = Object::new().text("unit", unit).raw("points", &points.end()).end();
        object.raw("series", &series);
    }
}

impl Figures {
    fn mark(&self, name: &str) -> Option<&Mark> {
        self.marks.iter().find(|mark| mark.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::{CLASSES, Number, Totals, UnixTime, share};

    #[test]
    fn percentiles_are_the_bounds_of_their_classes() {
        let totals = |calls: &[(&str, u64)]| {
            let mut totals = Totals::default();
            for (label, n) in calls {
                let (name, label) = ("pi".to_owned(), (*label).to_owned());
                totals.add(&Number { at: UnixTime::MIN, name, label, n: *n, total: 7 });
            }
            totals
        };
        let none = totals(&[]);
        assert_eq!((none.under_ms(50), none.under_ms(95)), (None, None));
        let some = totals(&[("ok.100", 50), ("refused.400", 45), ("failed.over", 5)]);
        assert_eq!((some.under_ms(50), some.under_ms(95)), (Some(100), Some(400)));
        assert_eq!((some.pi_calls, some.pi_failed, some.pi_ms), (100, 5, 21));
        let slow = totals(&[("ok.3200", 1), ("failed.over", 99)]);
        assert_eq!((slow.under_ms(1), slow.under_ms(50)), (Some(CLASSES[5]), None));
        let new = totals(&[("ok.6400", 1), ("ok", 1)]);
        assert_eq!(new.classes, [0, 0, 0, 0, 0, 0, 2], "a class of another version");
    }

    #[test]
    fn shares_have_four_decimals() {
        assert_eq!(share(0, 100_000), "0.0000");
        assert_eq!(share(79_999, 100_000), "0.7999");
        assert_eq!(share(250_000, 100_000), "2.5000");
    }
}
