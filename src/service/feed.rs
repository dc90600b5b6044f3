//! The revocations that this process knows, and the windows of the feed that it has signed. They
//! are read from the database when the last reading is five seconds old, and only the new ones.

use std::collections::VecDeque;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};

use super::fresh;
use crate::{
    identifier::Identifier,
    jwt::{FEED_LIFETIME, FINGERPRINT_BYTES, FINGERPRINT_CHARACTERS, MAX_LIFETIME, Policy, Window},
    session::{Group, KEPT_SECONDS, NUMBERS_PER_SECOND, Revoked, TAIL_CHARACTERS},
    time::UnixTime,
};

/// The most sessions that a feed names. The fingerprints of so many are 1 MB. More revoked sessions
/// than this are an attack.
pub(super) const MAX_NAMED: u32 = 120_000;

/// The most users that a feed names. With the longest uids, they fill the part of a feed's 6 MiB
/// that the fingerprints leave.
pub(super) const MAX_NAMED_USERS: u32 = 20_000;

/// Seconds for which a window without news keeps its entity tag. A verifier gets a newly signed one
/// well before its old one expires.
const ETAG_SECONDS: i64 = FEED_LIFETIME as i64 / 5;

/// The most documents that are kept: those from which the verifiers of the last half minute poll,
/// and the whole.
const MAX_DOCUMENTS: usize = 8;

// A verifier whose clock is slow by its full tolerance may still accept an expired token.
const _: () = assert!(KEPT_SECONDS >= 2 * Policy::MAX_CLOCK_TOLERANCE, "R11");
const _: () = assert!(TAIL_CHARACTERS == FINGERPRINT_CHARACTERS);

/// Sessions that were revoked at about the same time, with their fingerprints.
#[derive(Debug)]
struct Named {
    number: u64,
    last_iat: UnixTime,
    last_exp: UnixTime,
    fingerprints: Vec<u8>,
}

/// A signed window.
#[derive(Debug)]
struct Document {
    from: u64,
    text: Vec<u8>,
}

/// The revocations that are known.
#[derive(Debug, Default)]
pub(super) struct Feed {
    read_at: Option<UnixTime>,
    /// How often it was read: two readings may have the same time and find different revocations.
    readings: u64,
    /// The number of the last revocation.
    number: u64,
    /// The number up to which sessions were forgotten, because their tokens have expired.
    forgotten: u64,
    epoch: Option<UnixTime>,
    is_flooded: bool,
    /// The users, each with its number and time, the lowest number first.
    users: Vec<(u64, Identifier, UnixTime)>,
    named: VecDeque<Named>,
    documents: VecDeque<Document>,
}

impl Feed {
    /// For how many seconds it may answer without asking the database.
    pub(super) fn seconds_left(&self, now: UnixTime) -> u32 {
        self.read_at.map_or(0, |read_at| fresh::seconds_left(read_at, now))
    }

    /// The number of the last revocation that is known.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Whether more was revoked than may be named.
    pub(super) const fn is_flooded(&self) -> bool {
        self.is_flooded
    }

    /// Adds the sessions after a number, and all users, as the database had them at this time. Does
    /// nothing if another request has added them meanwhile.
    ///
    /// Above the limits, the oldest are left out, and an epoch covers them. It stands still until
    /// more are left out, so that a refreshed token stays valid.
    pub(super) fn add(&mut self, after: u64, revoked: Revoked, now: UnixTime) {
        if after != self.number {
            return;
        }
        let Revoked { epoch, users, sessions } = revoked;
        self.documents.clear();
        self.read_at = Some(now);
        self.readings = self.readings.wrapping_add(1);
        self.epoch = self.epoch.max(epoch);
        // All of them: an erased user must not be named any more.
        self.users = users.into_iter().rev().collect();
        for group in sessions {
            self.named.extend(named(group));
        }
        let last_user = self.users.last().map_or(0, |(number, ..)| *number);
        let last_session = self.named.back().map_or(0, |named| named.number);
        self.number = self.number.max(last_user).max(last_session);

        let (mut count, mut left_out) = (0, None);
        for named in self.named.iter().rev() {
            count += named.fingerprints.len() / FINGERPRINT_BYTES;
            if count > MAX_NAMED as usize {
                // Of one that was revoked earlier still, no token was issued after that, by clocks
                // that differ a little.
                let revoked_at = i64::try_from(named.number / NUMBERS_PER_SECOND).unwrap_or(0);
                let revoked_at = UnixTime::from_seconds(revoked_at).unwrap_or(now);
                let moment = named.last_iat.max(revoked_at);
                left_out = Some(moment.plus(Policy::DEFAULT_CLOCK_TOLERANCE).min(now));
                break;
            }
        }
        let too_many = self.users.len().saturating_sub(MAX_NAMED_USERS as usize);
        left_out = left_out.max(self.users.get(too_many.wrapping_sub(1)).map(|user| user.2));
        self.is_flooded = left_out.is_some();
        self.epoch = self.epoch.max(left_out);
        let (epoch, expired_since) = (self.epoch, now.minus(KEPT_SECONDS));
        self.users.retain(|(.., moment)| {
            Some(*moment) > epoch && *moment > expired_since.minus(MAX_LIFETIME)
        });
        let mut forgotten = self.forgotten;
        self.named.retain(|named| {
            let is_needed = named.last_exp > expired_since && Some(named.last_iat) >= epoch;
            if !is_needed && forgotten < named.number {
                forgotten = named.number;
            }
            is_needed
        });
        self.forgotten = forgotten;
    }

    /// The last number from which a window contains everything after `position`.
    pub(super) fn from(&self, position: u64) -> u64 {
        if position >= self.number {
            return self.number;
        }
        let numbers = self.named.iter().map(|named| named.number);
        let numbers = numbers.chain([self.forgotten]).chain(self.users.iter().map(|user| user.0));
        numbers.filter(|number| *number <= position).max().unwrap_or(0)
    }

    /// The entity tag of the window from this number. The tag is weak: a window signed in another
    /// second is another document with the same content.
    pub(super) fn etag(&self, from: u64) -> String {
        let seconds = |moment: Option<UnixTime>| moment.map_or(0, UnixTime::seconds);
        let minute = seconds(self.read_at) / ETAG_SECONDS;
        format!("W/\"{from}-{}-{}-{minute}\"", self.number, seconds(self.epoch))
    }

    /// The window from this number, not signed yet, and its fingerprints.
    pub(super) fn window(&self, from: u64, policy: &Policy) -> (Window, Vec<u8>) {
        let iat = self.read_at.unwrap_or(UnixTime::MIN);
        let named = || self.named.iter().filter(|named| named.number > from);
        let length = named().map(|named| named.fingerprints.len()).sum();
        let mut fingerprints = Vec::with_capacity(length);
        named().for_each(|named| fingerprints.extend_from_slice(&named.fingerprints));
        let users = self.users.iter().filter(|(number, ..)| *number > from);
        let users = users.map(|(_, uid, moment)| (uid.clone(), *moment)).collect();
        let window = Window {
            iss: policy.issuer.clone(),
            aud: policy.audience.clone(),
            iat,
            exp: iat.plus(FEED_LIFETIME),
            epoch: self.epoch.unwrap_or(UnixTime::MIN),
            users,
            from,
            to: self.number,
            last_iat: named().map(|named| named.last_iat).max().unwrap_or(UnixTime::MIN),
            last_exp: named().map(|named| named.last_exp).max().unwrap_or(UnixTime::MIN),
            sids_sha256: Window::digest(&fingerprints),
        };
        (window, fingerprints)
    }

    /// The document of the window from this number, if it was signed since the last reading.
    pub(super) fn document(&self, from: u64) -> Option<&[u8]> {
        let known = self.documents.iter().find(|document| document.from == from);
        known.map(|document| document.text.as_slice())
    }

    /// How often the revocations were read.
    pub(super) const fn readings(&self) -> u64 {
        self.readings
    }

    /// Keeps a document whose window was made after so many readings, unless there was another one
    /// since.
    pub(super) fn keep(&mut self, readings: u64, from: u64, text: Vec<u8>) {
        if self.readings != readings || self.document(from).is_some() {
            return;
        }
        if self.documents.len() >= MAX_DOCUMENTS {
            self.documents.pop_front();
        }
        self.documents.push_back(Document { from, text });
    }
}

/// A group with its fingerprints: the last 8 of each 9 bytes that the tails encode. A tail that is
/// not base64url is no tail of an id.
fn named(group: Group) -> Option<Named> {
    let bytes = BASE64URL.decode(&group.tails).ok()?;
    let (tails, _) = bytes.as_chunks::<{ FINGERPRINT_BYTES + 1 }>();
    let mut fingerprints = Vec::with_capacity(tails.len() * FINGERPRINT_BYTES);
    tails.iter().for_each(|tail| fingerprints.extend_from_slice(&tail[1..]));
    Some(Named {
        number: group.number,
        last_iat: group.last_seen_at,
        last_exp: group.tokens_expire_at,
        fingerprints,
    })
}

#[cfg(test)]
mod tests {
    use super::{Feed, Group, MAX_DOCUMENTS, MAX_NAMED, MAX_NAMED_USERS, Revoked};
    use crate::{identifier::Identifier, jwt::Policy, time::UnixTime};

    const NOW: i64 = 1_760_000_000;

    fn at(offset: i64) -> UnixTime {
        UnixTime::from_seconds(NOW + offset).unwrap()
    }

    /// The number of a revocation at this time.
    fn number(offset: i64) -> u64 {
        u64::try_from(NOW + offset).unwrap() * 1000
    }

    /// So many sessions that were revoked at this time, just after their last tokens were issued.
    fn group(offset: i64, count: u32) -> Group {
        let tails = "AAAAAAAAAAAA".repeat(usize::try_from(count).unwrap());
        let (last_seen_at, tokens_expire_at) = (at(offset), at(offset + 540));
        Group { number: number(offset), count, last_seen_at, tokens_expire_at, tails }
    }

    fn revoked(sessions: Vec<Group>) -> Revoked {
        Revoked { epoch: None, users: Vec::new(), sessions }
    }

    fn names(feed: &Feed, from: u64) -> usize {
        let (issuer, audience) = ("i".to_owned(), "a".to_owned());
        feed.window(from, &Policy { issuer, audience, clock_tolerance: 5 }).1.len() / 8
    }

    #[test]
    fn it_is_fresh_once_it_was_read() {
        let mut feed = Feed::default();
        assert_eq!(feed.seconds_left(at(0)), 0);
        feed.add(0, Revoked::default(), at(0));
        assert_eq!(feed.seconds_left(at(1)), 4);
    }

    #[test]
    fn a_window_begins_at_or_before_the_position_that_was_asked_for() {
        let mut feed = Feed::default();
        feed.add(0, revoked(vec![group(0, 1), group(1, 2), group(2, 3)]), at(2));
        assert_eq!((feed.number(), names(&feed, 0)), (number(2), 6));
        for (position, from, count) in [
            (0, 0, 6),
            (number(0) - 1, 0, 6),
            (number(0), number(0), 5),
            (number(1) + 5, number(1), 3),
            (number(2), number(2), 0),
            (u64::MAX, number(2), 0),
        ] {
            assert_eq!((feed.from(position), names(&feed, feed.from(position))), (from, count));
        }
        // Another request has added the same revocations: they are not added again.
        feed.add(0, revoked(vec![group(0, 1)]), at(3));
        assert_eq!(names(&feed, 0), 6);
        // The first two groups have expired. A verifier that knows them needs nothing of them.
        feed.add(number(2), revoked(Vec::new()), at(541 + 120));
        assert_eq!((names(&feed, 0), feed.from(number(0))), (3, 0));
        assert_eq!((feed.from(number(1)), names(&feed, number(1))), (number(1), 3));
        assert_eq!(feed.number(), number(2), "the position never goes back");
    }

    #[test]
    fn r3_more_than_may_be_named_is_covered_by_an_epoch_that_stands_still() {
        let mut feed = Feed::default();
        feed.add(0, revoked(vec![group(0, 10), group(60, MAX_NAMED)]), at(100));
        assert!(feed.is_flooded());
        assert_eq!(names(&feed, 0), usize::try_from(MAX_NAMED).unwrap());
        // The tokens of the first group were issued before its revocation, by clocks that may
        // differ by five seconds.
        let epoch = feed.epoch;
        assert_eq!(epoch, Some(at(5)));
        feed.add(feed.number(), revoked(Vec::new()), at(105));
        assert_eq!((feed.epoch, feed.is_flooded()), (epoch, false), "until more are left out");
        feed.add(feed.number(), revoked(vec![group(110, 1)]), at(110));
        assert_eq!((feed.epoch, names(&feed, 0)), (Some(at(65)), 1));

        let user = |index: u32| {
            let uid = Identifier::parse(format!("uid-{index}")).unwrap();
            (number(i64::from(index)), uid, at(i64::from(index)))
        };
        let users = (0..=MAX_NAMED_USERS).rev().map(user).collect();
        let mut feed = Feed::default();
        feed.add(0, Revoked { users, ..Revoked::default() }, at(30_000));
        assert_eq!((feed.is_flooded(), feed.epoch), (true, Some(at(0))));
    }

    #[test]
    fn its_tag_changes_with_its_content_and_each_minute_and_few_documents_are_kept() {
        let mut feed = Feed::default();
        let start = -(NOW % 60);
        feed.add(0, revoked(vec![group(start, 1)]), at(start));
        let first = feed.etag(0);
        assert_ne!(feed.etag(feed.number()), first, "another window");
        feed.add(feed.number(), revoked(Vec::new()), at(start + 59));
        assert_eq!(feed.etag(0), first);
        feed.add(feed.number(), revoked(Vec::new()), at(start + 60));
        assert_ne!(feed.etag(0), first);
        for from in 0..20 {
            feed.keep(feed.readings(), from, vec![7]);
        }
        let known = (0..20).filter(|from| feed.document(*from).is_some()).count();
        assert_eq!(known, MAX_DOCUMENTS);
        let readings = feed.readings();
        feed.add(feed.number(), revoked(vec![group(start + 60, 1)]), at(start + 60));
        feed.keep(readings, 99, vec![7]);
        assert_eq!(feed.document(99), None, "of an earlier reading in the same second");
        assert!((0..20).all(|from| feed.document(from).is_none()));
    }
}
