//! The contract of the storage of users and sessions. [`super::MemoryStore`] is its reference
//! implementation.

use super::{Data, Expected, Lifetimes, RefreshToken, Session, SignIn, SignedIn, User};
use crate::{identifier::Identifier, time::UnixTime};

/// The storage failed. Nothing was written, unless its answer was lost or came too late.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the storage failed: {reason}")]
pub struct Error {
    /// The storage's own reason, for the operator's log. It contains no stored value.
    pub reason: String,
}

impl Error {
    /// Whether the database lacks a table, a column or an index, because its migrations were not
    /// applied.
    #[must_use]
    pub fn lacks_migration(&self) -> bool {
        ["no such table", "no such column", "no such index", "has no column named"]
            .iter()
            .any(|text| self.reason.contains(text))
    }
}

/// The outcome of writing data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Written.
    Done,
    /// Not written: the stored value is not the expected one.
    Conflict,
    /// Not written: the session was revoked meanwhile.
    SessionEnded,
}

/// The outcome of revoking another session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Revoked.
    Done,
    /// The user has no live session with this id.
    Unknown,
    /// Nothing was revoked: the caller's session was itself revoked.
    SessionEnded,
}

/// The outcome of opening a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The session is open.
    Done(SignedIn),
    /// A session with this id was opened before, and nobody has refreshed it yet: its answer was
    /// lost.
    Repeated(Box<(Session, SignedIn)>),
    /// A session with this id has been refreshed, or its token has expired. This one was not
    /// opened.
    Taken,
    /// All sessions that began before this time were revoked since, so this one was not opened.
    Superseded {
        /// The earliest time at which a session may begin.
        not_before: UnixTime,
    },
    /// An operator has blocked the user, so this session was not opened.
    Blocked,
}

/// The outcome of erasing a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// Erased.
    Done,
    /// Erased, except for the name in more orders, payments or ads. [`Store::forget`] removes it
    /// there.
    Partly,
    /// Nothing was erased: the session was revoked.
    SessionEnded,
}

/// The proof or value that comes with a refresh token.
#[derive(Clone, Copy, Debug)]
pub enum Use<'a> {
    /// Nothing, or a value that the client sends again with the same token if an answer was lost.
    Plain(Option<&'a Identifier>),
    /// A proof of the key.
    Proven {
        /// The key's thumbprint.
        thumbprint: &'a Identifier,
        /// The proof's id, for one use only.
        jti: &'a Identifier,
    },
}

impl Use<'_> {
    /// The thumbprint of the proven key.
    #[must_use]
    pub const fn thumbprint(&self) -> Option<&Identifier> {
        match self {
            Self::Plain(_) => None,
            Self::Proven { thumbprint, .. } => Some(thumbprint),
        }
    }
}

/// The outcome of a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// The session after the refresh, and its user. A repeat that [`Store::refresh`] permits finds
    /// the session as the first use of the token left it.
    Done(Box<(Session, User)>),
    /// The token was spent, and its successor was used or its time has passed. Two clients have the
    /// token, so the session was revoked.
    Reused,
    /// There is no such live session.
    Rejected,
    /// The session is bound to another key, or to none, or the request proves no key. Nothing was
    /// changed.
    OtherKey,
    /// The proof was used before. Nothing was changed.
    Replayed,
    /// The session has proven its key so often within [`PROOFS_SECONDS`] that no more proofs can be
    /// remembered. Nothing was changed.
    Crowded,
}

/// Seconds after which the ids of a session's proofs begin a new list: longer than a proof is
/// fresh, plus the time by which it may be ahead and by which clocks differ. The previous list is
/// kept until the next one begins.
pub const PROOFS_SECONDS: u32 = 90;

/// The most characters of a list of ids: 45 of the longest ids. A session is refreshed at most
/// thirty times a minute.
pub const MAX_PROOFS: u32 = 3072;

/// Revocations, each with its number: of two, the later one has the higher number. A token is
/// revoked if its session is listed, or if it was issued before its user's time or before the
/// epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// When all sessions of all users were last revoked.
    pub epoch: Option<UnixTime>,
    /// The users whose sessions were all revoked, each with the number and the time, the highest
    /// number first.
    pub users: Vec<(u64, Identifier, UnixTime)>,
    /// The revoked sessions, the lowest numbers first. Sessions that their user's time covers are
    /// not always among them.
    pub sessions: Vec<Group>,
}

/// Sessions that were revoked in the same second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The highest of their numbers.
    pub number: u64,
    /// How many there are.
    pub count: u32,
    /// When the last of their session tokens was issued.
    pub last_seen_at: UnixTime,
    /// When the last of their session tokens expires.
    pub tokens_expire_at: UnixTime,
    /// The last [`TAIL_CHARACTERS`] characters of each session id, one id after the other. A
    /// shorter id is preceded by `A`s. Ids are random there, and a whole id would take twice the
    /// time to read.
    pub tails: String,
}

/// The length of a tail in [`Group`].
pub const TAIL_CHARACTERS: usize = 12;

/// The numbers of a second: the number of a revocation is its time in milliseconds, or one more
/// than the last number if that is higher. So numbers rise even if every numbered row was deleted,
/// or if the database was restored to an earlier time.
pub const NUMBERS_PER_SECOND: u64 = 1000;

/// Seconds for which the row of a session is kept after its end. A verifier may accept its token
/// for so long, and must know that it was revoked. The verifier's tolerance may be a minute, and
/// its clock may be a minute slow. With a slower clock, it would reject the revocation feed as one
/// from the future.
pub const KEPT_SECONDS: u32 = 120;

/// How many sign-ins of one user within [`SIGN_INS_SECONDS`] name the sessions that they revoke.
/// Each further one names the user instead, so that one account cannot fill the list: the tokens of
/// the user's other live sessions then count as revoked until their next refresh. A session that
/// the user signs out of is named in any case: `USER_SIGN_IN_LIMIT` bounds those.
pub const NAMED_OF_USER: u32 = 100;

/// Seconds for which the sign-ins of a user are counted: as long as a revoked session is named.
/// Counting revoked sessions themselves would read each of them at every sign-in.
pub const SIGN_INS_SECONDS: u32 = 3600 + KEPT_SECONDS;

/// Users and sessions. Each call happens completely or not at all.
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Store {
    /// Creates or updates the user, deletes sessions of theirs that expired [`KEPT_SECONDS`] ago,
    /// and opens the session, unless sessions of its time were revoked meanwhile. Of the user's
    /// live sessions, the newest `keep` stay, this one first. Older ones are revoked, and so is
    /// the session that this one replaces. Above [`NAMED_OF_USER`], the user is named as revoked
    /// before this session. An existing session with this id stays unchanged.
    ///
    /// # Errors
    /// If the storage fails.
    async fn open(
        &self,
        sign_in: &SignIn,
        session: &Session,
        keep: u32,
        replaced: Option<&Identifier>,
    ) -> Result<Opened, Error>;

    /// The user of a session that exists, has not expired and was not revoked.
    ///
    /// # Errors
    /// If the storage fails.
    async fn user(&self, sid: &Identifier, now: UnixTime) -> Result<Option<User>, Error>;

    /// As [`Store::user`], with the user's data.
    ///
    /// # Errors
    /// If the storage fails.
    async fn record(
        &self,
        sid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<(User, Option<Data>)>, Error>;

    /// Replaces the data of a live session's user, if the stored data is the expected one. If it is
    /// already the new data, an earlier request wrote it and its answer was lost, so the write
    /// succeeds in any case.
    ///
    /// # Errors
    /// If the storage fails.
    async fn write(
        &self,
        sid: &Identifier,
        data: &Data,
        expected: &Expected,
        now: UnixTime,
    ) -> Result<Written, Error>;

    /// The live sessions of a live session's user, the newest first; none if it is not live.
    ///
    /// # Errors
    /// If the storage fails.
    async fn sessions(&self, sid: &Identifier, now: UnixTime) -> Result<Vec<Session>, Error>;

    /// Revokes all sessions of a live session's user. Returns whether it was live.
    ///
    /// # Errors
    /// If the storage fails.
    async fn revoke_all(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error>;

    /// Revokes another live session, `other`, of a live session's user.
    ///
    /// # Errors
    /// If the storage fails.
    async fn revoke_other(
        &self,
        sid: &Identifier,
        other: &Identifier,
        now: UnixTime,
    ) -> Result<Ended, Error>;

    /// Revokes a live session. Returns whether there was one.
    ///
    /// # Errors
    /// If the storage fails.
    async fn revoke(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error>;

    /// Spends a refresh token. If the session is live and has been refreshed as often as the token
    /// says, it gets new lifetimes, once, however many requests arrive at the same time.
    ///
    /// Without a key, the spent token finds the session as it left it until the successor is used;
    /// with new times, if the session token has expired by then. This is limited to
    /// [`super::GRACE_SECONDS`]. It has no limit if the client sends the same value as at the first
    /// use, and is limited to [`super::RACE_SECONDS`] if it sends another value, or if only one of
    /// the two requests had a value. After that, the session is revoked.
    ///
    /// With the key to which the session is bound, every token of the session is as good as the
    /// newest. An older one finds the session as it is, or refreshes it if its session token has
    /// expired.
    ///
    /// # Errors
    /// If the storage fails.
    async fn refresh(
        &self,
        token: &RefreshToken,
        with: Use<'_>,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Result<Refreshed, Error>;

    /// A user with this id, with the data, signed in or not.
    ///
    /// # Errors
    /// If the storage fails.
    async fn record_of_user(&self, uid: &Identifier)
    -> Result<Option<(User, Option<Data>)>, Error>;

    /// Revokes all sessions of a user. Returns whether there is such a user.
    ///
    /// # Errors
    /// If the storage fails.
    async fn revoke_user(&self, uid: &Identifier, now: UnixTime) -> Result<bool, Error>;

    /// Revokes all sessions of all users: a new epoch.
    ///
    /// # Errors
    /// If the storage fails.
    async fn revoke_everyone(&self, now: UnixTime) -> Result<(), Error>;

    /// Blocks a user, whose sign-ins then return [`Opened::Blocked`], and revokes all sessions of
    /// the user. The reason is for operators only. Returns whether there is such a user.
    ///
    /// # Errors
    /// If the storage fails.
    async fn block(&self, uid: &Identifier, reason: &str, now: UnixTime) -> Result<bool, Error>;

    /// Lets a user sign in again. Returns whether there is such a user.
    ///
    /// # Errors
    /// If the storage fails.
    async fn unblock(&self, uid: &Identifier) -> Result<bool, Error>;

    /// As [`Store::erase`], for a user who need not have a session. Returns whether there was such
    /// a user. The caller calls [`Store::forget`] until nothing is left.
    ///
    /// # Errors
    /// If the storage fails.
    async fn erase_user(&self, uid: &Identifier, limit: u32, now: UnixTime) -> Result<bool, Error>;

    /// The revocations that offline verifiers must know: the sessions with numbers above `after`
    /// whose tokens expire after `expired_since`, and all users whose time is after `issued_since`.
    /// At most `limits.0` sessions and `limits.1` users, those with the highest numbers.
    ///
    /// # Errors
    /// If the storage fails.
    async fn revoked(
        &self,
        after: u64,
        expired_since: UnixTime,
        issued_since: UnixTime,
        limits: (u32, u32),
    ) -> Result<Revoked, Error>;

    /// Erases the user of a live session: the data, the sessions, the user, and the user's name in
    /// up to `limit` orders, payments and ads each.
    ///
    /// # Errors
    /// If the storage fails.
    async fn erase(&self, sid: &Identifier, limit: u32, now: UnixTime) -> Result<Erased, Error>;

    /// Removes the names of erased users from up to `limit` orders, payments and ads each. Returns
    /// whether there may be more.
    ///
    /// # Errors
    /// If the storage fails.
    async fn forget(&self, limit: u32) -> Result<bool, Error>;

    /// Deletes up to `limit` sessions that ended [`KEPT_SECONDS`] ago, and as many of erased users.
    /// Returns the number of rows. A store may look at another part of its sessions each time, but
    /// at all of them within a day.
    ///
    /// # Errors
    /// If the storage fails.
    async fn sweep(&self, now: UnixTime, limit: u32) -> Result<usize, Error>;
}
