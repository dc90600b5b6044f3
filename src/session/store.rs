//! Where users and sessions are kept: the contract. [`super::MemoryStore`] is its reference implementation.

use std::collections::BTreeMap;

use super::{Data, Expected, Lifetimes, RefreshToken, Session, SignIn, SignedIn, User};
use crate::{identifier::Identifier, time::UnixTime};

/// The storage failed. Nothing of what was asked has been written, unless its answer was lost or too late.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the storage failed: {reason}")]
pub struct Error {
    /// What the storage said, for the operator's log. It holds no value that was stored.
    pub reason: String,
}

/// How a write of data ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Written.
    Done,
    /// Not written: the value is not the expected one.
    Conflict,
    /// Not written: the session has ended meanwhile.
    SessionEnded,
}

/// How ending another session went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Ended.
    Done,
    /// The user has no such live session.
    Unknown,
    /// Nothing was ended: the asking session has itself ended.
    SessionEnded,
}

/// How opening a session went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It has begun.
    Done(SignedIn),
    /// It had begun before, with this id, and nobody has refreshed it yet: the answer was lost.
    Repeated(Box<(Session, SignedIn)>),
    /// A session of this id has been refreshed, or its token has expired. This one did not begin.
    Taken,
    /// Sessions that began before this moment have been ended since, and this one is one of them: it did not begin.
    Superseded {
        /// The earliest moment at which one may begin.
        not_before: UnixTime,
    },
}

/// How erasing a user went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// Erased.
    Done,
    /// Erased, but for the name at more orders, payments or ads: [`Store::forget`] goes on with them.
    Partly,
    /// Nothing was erased: the session has ended.
    SessionEnded,
}

/// What comes with a refresh token.
#[derive(Clone, Copy, Debug)]
pub enum Use<'a> {
    /// Nothing, or a value that the client sends again with the same token when an answer was lost.
    Plain(Option<&'a Identifier>),
    /// A proof of the key.
    Proven {
        /// The key's thumbprint.
        thumbprint: &'a Identifier,
        /// The proof's id, which is used once.
        jti: &'a Identifier,
    },
}

impl Use<'_> {
    /// The thumbprint of the key that was proven.
    #[must_use]
    pub const fn thumbprint(&self) -> Option<&Identifier> {
        match self {
            Self::Plain(_) => None,
            Self::Proven { thumbprint, .. } => Some(thumbprint),
        }
    }
}

/// How a refresh went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// The session as the refresh left it, and its user. A repeat, as far as [`Store::refresh`] admits it, finds the session
    /// as the first use of the token left it.
    Done(Box<(Session, User)>),
    /// The token was spent and its successor was used, or too long ago: two clients have it, so the session was revoked.
    Reused,
    /// There is no such live session.
    Rejected,
    /// The session is bound to another key, or to none, or no key was proven. Nothing was changed.
    OtherKey,
    /// The proof was used before. Nothing was changed.
    Replayed,
    /// The session has proven its key so often within [`PROOFS_SECONDS`] that no more proofs can be remembered. Nothing was
    /// changed.
    Crowded,
}

/// After how long the ids of a session's proofs begin a new list, seconds: longer than a proof is fresh, together with the time
/// by which it may be ahead and that by which clocks differ. The list before is kept until the next one begins.
pub const PROOFS_SECONDS: u32 = 90;

/// How many characters a list of ids may take: 45 of the longest ids. A session is refreshed thirty times a minute at most.
pub const MAX_PROOFS: u32 = 3072;

/// What has ended although its session tokens could still be unexpired. A token is revoked when its session is
/// listed, or when it was issued before its user's moment or before the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// When all sessions of all users were last ended; or, when more has ended than may be named, the moment before which
    /// the tokens of all that is not named were issued.
    pub epoch: Option<UnixTime>,
    /// Whether more has ended than may be named.
    pub is_flooded: bool,
    /// Sessions that neither of the others covers, in order.
    pub sids: Vec<Identifier>,
    /// Users all of whose sessions were ended, and when.
    pub users: BTreeMap<Identifier, UnixTime>,
}

/// For how long a session's row is kept after its end, seconds: for so long a verifier may accept its token, and must know
/// that it was ended. Its tolerance may be a minute, and its clock may be a minute slow: with a slower one, it would refuse
/// the revocation feed as one from the future.
pub const KEPT_SECONDS: u32 = 120;

/// How many ended sessions of one user may be named one by one, while their tokens are unexpired. A user who ends more of
/// them is named instead, so that one account cannot fill the list: the tokens of the sessions that go on count as revoked
/// until their next refresh.
pub const NAMED_OF_USER: u32 = 100;

/// Users and sessions. Each call happens wholly or not at all.
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Store {
    /// Creates or updates the user, drops sessions that expired [`KEPT_SECONDS`] ago (at least as many as begin), and begins
    /// the session, unless sessions of its time have been ended meanwhile. Of the user's live sessions, the newest `keep`
    /// stay, this one first. Older ones are revoked, and so is the session that this one replaces. Above [`NAMED_OF_USER`],
    /// the user is named as ended before this session. If there is a session of this id already, it stays as it is.
    ///
    /// # Errors
    /// When the storage fails.
    async fn open(
        &self,
        sign_in: &SignIn,
        session: &Session,
        keep: u32,
        replaced: Option<&Identifier>,
    ) -> Result<Opened, Error>;

    /// The user of a session that has begun, has not expired and has not been revoked.
    ///
    /// # Errors
    /// When the storage fails.
    async fn user(&self, sid: &Identifier, now: UnixTime) -> Result<Option<User>, Error>;

    /// Like [`Store::user`], with the user's data.
    ///
    /// # Errors
    /// When the storage fails.
    async fn record(
        &self,
        sid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<(User, Option<Data>)>, Error>;

    /// Replaces the data of a live session's user, if the stored data is what was expected. If it is already the new data,
    /// an earlier try wrote it and its answer was lost, so the write is done whatever was expected.
    ///
    /// # Errors
    /// When the storage fails.
    async fn write(
        &self,
        sid: &Identifier,
        data: &Data,
        expected: &Expected,
        now: UnixTime,
    ) -> Result<Written, Error>;

    /// The live sessions of a live session's user, the newest first; none when it is not live.
    ///
    /// # Errors
    /// When the storage fails.
    async fn sessions(&self, sid: &Identifier, now: UnixTime) -> Result<Vec<Session>, Error>;

    /// Ends all sessions of a live session's user. Says whether it was live.
    ///
    /// # Errors
    /// When the storage fails.
    async fn revoke_all(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error>;

    /// Ends another live session, `other`, of a live session's user.
    ///
    /// # Errors
    /// When the storage fails.
    async fn revoke_other(
        &self,
        sid: &Identifier,
        other: &Identifier,
        now: UnixTime,
    ) -> Result<Ended, Error>;

    /// Ends a live session. Says whether there was one.
    ///
    /// # Errors
    /// When the storage fails.
    async fn revoke(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error>;

    /// Spends a refresh token: when the session is live and has been refreshed as often as the token says,
    /// it gets new lifetimes, once, however many ask at the same time.
    ///
    /// Without a key, the spent token finds the session as it left it until the successor is used; if the session token has
    /// expired by then, with new times. This holds for [`super::GRACE_SECONDS`]; without that limit when the client names the
    /// same value as at the first use; for [`super::RACE_SECONDS`] when it names another, or only one of the two named any.
    /// After that the session is revoked.
    ///
    /// With the key to which the session is bound, every token of the session's is as good as the newest: an older one finds
    /// the session as it is, or refreshes it if its session token has expired.
    ///
    /// # Errors
    /// When the storage fails.
    async fn refresh(
        &self,
        token: &RefreshToken,
        with: Use<'_>,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Result<Refreshed, Error>;

    /// A user by id, with the data, signed in or not.
    ///
    /// # Errors
    /// When the storage fails.
    async fn record_of_user(&self, uid: &Identifier)
    -> Result<Option<(User, Option<Data>)>, Error>;

    /// Ends all sessions of a user. Says whether there is such a user.
    ///
    /// # Errors
    /// When the storage fails.
    async fn revoke_user(&self, uid: &Identifier, now: UnixTime) -> Result<bool, Error>;

    /// Ends all sessions of all users: a new epoch.
    ///
    /// # Errors
    /// When the storage fails.
    async fn revoke_everyone(&self, now: UnixTime) -> Result<(), Error>;

    /// What must be known of ended sessions by who verifies their tokens offline: of tokens that were issued after
    /// `issued_since` and expire after `expired_since`. Names `limits.0` sessions and `limits.1` users at most, those with the
    /// newest tokens; an epoch covers the others.
    ///
    /// # Errors
    /// When the storage fails.
    async fn revoked(
        &self,
        expired_since: UnixTime,
        issued_since: UnixTime,
        limits: (u32, u32),
    ) -> Result<Revoked, Error>;

    /// Erases the user of a live session: data, sessions, the user, and the user's name at `limit` orders, payments and ads
    /// of each kind.
    ///
    /// # Errors
    /// When the storage fails.
    async fn erase(&self, sid: &Identifier, limit: u32, now: UnixTime) -> Result<Erased, Error>;

    /// Takes the names of erased users from up to `limit` orders, payments and ads of each kind. Says whether there may be
    /// more.
    ///
    /// # Errors
    /// When the storage fails.
    async fn forget(&self, limit: u32) -> Result<bool, Error>;

    /// Drops up to `limit` sessions that ended [`KEPT_SECONDS`] ago, and as many of erased users. Returns how many rows went.
    ///
    /// # Errors
    /// When the storage fails.
    async fn sweep(&self, now: UnixTime, limit: u32) -> Result<usize, Error>;
}
