//! [`UnixTime`]: seconds since 1970, as a value. There is no `now()` here: the edges read clocks.

use ::time::{OffsetDateTime, format_description::well_known::Rfc3339};
use serde::{Deserialize, Serialize};

/// A time in whole seconds since 1970-01-01T00:00:00Z. RFC 7519 calls it a NumericDate.
///
/// It is always between [`UnixTime::MIN`] and [`UnixTime::MAX`], so it has a calendar form, and a
/// JavaScript number is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct UnixTime(i64);

impl UnixTime {
    /// The first second of 1970.
    pub const MIN: Self = Self(0);
    /// The last second of the year 9999, the latest that RFC 3339 can write.
    pub const MAX: Self = Self(253_402_300_799);

    /// The time `seconds` after the beginning of 1970, if it is in the range of this type.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Option<Self> {
        if seconds >= 0 && seconds <= Self::MAX.0 { Some(Self(seconds)) } else { None }
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// The time `seconds` later, at most [`UnixTime::MAX`].
    #[must_use]
    pub fn plus(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(i64::from(seconds)).min(Self::MAX.0))
    }

    /// The time `seconds` earlier, at least 1970.
    #[must_use]
    pub fn minus(self, seconds: u32) -> Self {
        Self(self.0.saturating_sub(i64::from(seconds)).max(Self::MIN.0))
    }

    /// Seconds from `earlier` to this time; negative if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        // Both are in 0..=MAX, so the difference cannot overflow.
        self.0 - earlier.0
    }

    /// The first second of its hour.
    #[must_use]
    pub const fn hour(self) -> Self {
        Self(self.0 - self.0 % 3600)
    }

    /// The first second of its day, in UTC.
    #[must_use]
    pub const fn day(self) -> Self {
        Self(self.0 - self.0 % 86_400)
    }

    /// Reads the one form that [`UnixTime::to_rfc3339`] writes.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let digits = |range: core::ops::Range<usize>| -> Option<i64> {
            let part = text.get(range)?;
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
        };
        let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
        // Years begin in March, so that the leap day is the last of its year.
        let years = year - i64::from(month <= 2);
        let days_before_month = (153 * ((month + 9) % 12) + 2) / 5;
        let days =
            365 * years + years / 4 - years / 100 + years / 400 + days_before_month + day - 719_469;
        let (hours, minutes, seconds) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
        let time = days * 86_400 + hours * 3600 + minutes * 60 + seconds;
        // A text that says the same in another form, or names no such day, is written differently.
        Self::from_seconds(time).filter(|time| time.to_rfc3339() == text)
    }

    /// ISO 8601 in UTC as RFC 3339 writes it: `2025-10-09T08:53:20Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        // Neither step can fail within the range of this type.
        OffsetDateTime::from_unix_timestamp(self.0)
            .ok()
            .and_then(|moment| moment.format(&Rfc3339).ok())
            .unwrap_or_default()
    }
}

/// A plain integer in JSON: `1.0`, `1e3` and `"1"` are other types.
impl TryFrom<i64> for UnixTime {
    type Error = &'static str;
    fn try_from(seconds: i64) -> Result<Self, Self::Error> {
        Self::from_seconds(seconds).ok_or("seconds outside 1970 to 9999")
    }
}

impl From<UnixTime> for i64 {
    fn from(moment: UnixTime) -> Self {
        moment.0
    }
}

#[cfg(test)]
mod tests {
    use super::UnixTime;

    #[test]
    fn writes_utc_and_keeps_its_range() {
        let moment = UnixTime::from_seconds(1_760_000_000).unwrap();
        assert_eq!(moment.to_rfc3339(), "2025-10-09T08:53:20Z");
        assert_eq!(UnixTime::MAX.to_rfc3339(), "9999-12-31T23:59:59Z");
        assert_eq!(UnixTime::MAX.plus(1), UnixTime::MAX);
        assert_eq!(moment.minus(1).plus(1), moment);
        assert_eq!(moment.hour().to_rfc3339(), "2025-10-09T08:00:00Z");
        assert_eq!(moment.day().to_rfc3339(), "2025-10-09T00:00:00Z");
        assert_eq!(UnixTime::from_seconds(0).unwrap().minus(1).seconds(), 0);
        assert_eq!(UnixTime::from_seconds(-1), None);
        assert_eq!(UnixTime::from_seconds(i64::MAX), None);
    }

    #[test]
    fn reads_back_what_it_writes_and_nothing_else() {
        let days = [0, 59, 60, 365, 789, 11_016, 11_017, 20_000, 47_541];
        for seconds in days.map(|day| day * 86_400 + 86_399).into_iter().chain([0, UnixTime::MAX.0])
        {
            let time = UnixTime::from_seconds(seconds).unwrap();
            assert_eq!(UnixTime::from_rfc3339(&time.to_rfc3339()), Some(time));
        }
        for text in [
            "",
            "2025-10-09",
            "2025-10-09T08:53:20",
            "2025-10-09T08:53:20.0Z",
            "2025-10-09T08:53:20+00:00",
            "2025-10-09t08:53:20Z",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-10-09T24:00:00Z",
            "2025-10-09T08:53:60Z",
            "+025-10-09T08:53:20Z",
            "1969-12-31T23:59:59Z",
            "２０25-10-09T08:53:20Z",
        ] {
            assert_eq!(UnixTime::from_rfc3339(text), None, "{text}");
        }
    }
}
