//! For how long an answer holds that a process gives from memory.

use crate::time::UnixTime;

/// A revocation reaches verifiers later by so many seconds, and a new price a page. The Worker
/// itself refuses a revoked session, and makes an order, by what the database has at that moment.
const FRESH_SECONDS: i64 = 5;

/// For how many more seconds something holds that was read from the database at this time; also for
/// a cache, so that the two times do not add up. After the clock was set back, for none.
pub(super) fn seconds_left(read_at: UnixTime, now: UnixTime) -> u32 {
    let age = now.since(read_at);
    if age < 0 { 0 } else { u32::try_from(FRESH_SECONDS - age).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::seconds_left;
    use crate::time::UnixTime;

    #[test]
    fn it_holds_for_five_seconds_whatever_the_clock_does() {
        let at = |seconds| UnixTime::from_seconds(seconds).unwrap();
        for (now, left) in [(100, 5), (101, 4), (104, 1), (105, 0), (1_000, 0), (99, 0), (0, 0)] {
            assert_eq!(seconds_left(at(100), at(now)), left, "{now}");
        }
    }
}
