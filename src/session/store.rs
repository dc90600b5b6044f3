//! Where users and sessions are kept: the contract, and [`MemoryStore`], its reference implementation.

use std::{cell::RefCell, collections::BTreeMap};

use super::{Data, Expected, Session, SignIn, SignedIn, User};
use crate::{identifier::Identifier, time::UnixTime};

/// The storage failed. Nothing of what was asked has been written.
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

/// Users and sessions. Each call happens wholly or not at all.
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Store {
    /// Creates or updates the user, begins the session, and drops sessions that have expired,
    /// at least as many as begin. Of the user's live sessions, the newest `keep` stay, this one first; older
    /// ones are revoked.
    ///
    /// # Errors
    /// When the storage fails.
    async fn open(&self, sign_in: &SignIn, session: &Session, keep: u32)
    -> Result<SignedIn, Error>;

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

    /// Replaces the data of a live session's user, if what is there is what was expected.
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

    /// Erases the user of a live session: data, sessions and the user. Says whether there was one.
    ///
    /// # Errors
    /// When the storage fails.
    async fn erase(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error>;
}

/// A store in memory: what every other store must behave like.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: RefCell<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    users: BTreeMap<Identifier, (User, Option<Data>)>,
    /// Each with the moment at which it was revoked.
    sessions: BTreeMap<Identifier, (Session, Option<UnixTime>)>,
}

impl Tables {
    fn live(&self, sid: &Identifier, now: UnixTime) -> Option<&Session> {
        let (session, revoked_at) = self.sessions.get(sid)?;
        (revoked_at.is_none() && now < session.expires_at).then_some(session)
    }

    /// The live sessions of a user, the newest first.
    fn live_of(&self, uid: &Identifier, now: UnixTime) -> Vec<Session> {
        let mut live: Vec<Session> = self
            .sessions
            .values()
            .filter(|(session, revoked_at)| {
                session.uid == *uid && revoked_at.is_none() && now < session.expires_at
            })
            .map(|(session, _)| session.clone())
            .collect();
        live.sort_by(|a, b| b.created_at.cmp(&a.created_at).then(a.sid.cmp(&b.sid)));
        live
    }

    fn revoke(&mut self, sid: &Identifier, now: UnixTime) {
        if let Some((_, revoked_at)) = self.sessions.get_mut(sid) {
            *revoked_at = Some(now);
        }
    }
}

impl MemoryStore {
    /// How many users and sessions there are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let tables = self.tables.borrow();
        (tables.users.len(), tables.sessions.len())
    }
}

impl Store for MemoryStore {
    async fn open(
        &self,
        sign_in: &SignIn,
        session: &Session,
        keep: u32,
    ) -> Result<SignedIn, Error> {
        let mut tables = self.tables.borrow_mut();
        let now = session.created_at;
        let before = tables.users.remove(&sign_in.uid);
        let is_new = before.is_none();
        let (first_seen_at, data) =
            before.map_or((now, None), |(user, data)| (user.first_seen_at, data));
        let user = User {
            uid: sign_in.uid.clone(),
            username: sign_in.username.clone(),
            scopes: sign_in.scopes.clone(),
            first_seen_at,
            last_seen_at: now,
        };
        tables.users.insert(sign_in.uid.clone(), (user.clone(), data));
        tables.sessions.retain(|_, (other, _)| now < other.expires_at);
        let others = usize::try_from(keep.saturating_sub(1)).unwrap_or(usize::MAX);
        for old in tables.live_of(&session.uid, now).iter().skip(others) {
            tables.revoke(&old.sid, now);
        }
        tables.sessions.insert(session.sid.clone(), (session.clone(), None));
        Ok(SignedIn { user, is_new })
    }

    async fn user(&self, sid: &Identifier, now: UnixTime) -> Result<Option<User>, Error> {
        Ok(self.record(sid, now).await?.map(|(user, _)| user))
    }

    async fn record(
        &self,
        sid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<(User, Option<Data>)>, Error> {
        let tables = self.tables.borrow();
        Ok(tables.live(sid, now).and_then(|session| tables.users.get(&session.uid)).cloned())
    }

    async fn write(
        &self,
        sid: &Identifier,
        data: &Data,
        expected: &Expected,
        now: UnixTime,
    ) -> Result<Written, Error> {
        let mut tables = self.tables.borrow_mut();
        let Some(uid) = tables.live(sid, now).map(|session| session.uid.clone()) else {
            return Ok(Written::SessionEnded);
        };
        let Some((_, stored)) = tables.users.get_mut(&uid) else {
            return Ok(Written::SessionEnded);
        };
        if !expected.admits(stored.as_ref().map(|stored| stored.version.as_str())) {
            return Ok(Written::Conflict);
        }
        *stored = Some(data.clone());
        Ok(Written::Done)
    }

    async fn revoke(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        let mut tables = self.tables.borrow_mut();
        let is_live = tables.live(sid, now).is_some();
        if is_live {
            tables.revoke(sid, now);
        }
        Ok(is_live)
    }

    async fn sessions(&self, sid: &Identifier, now: UnixTime) -> Result<Vec<Session>, Error> {
        let tables = self.tables.borrow();
        Ok(tables
            .live(sid, now)
            .map(|session| tables.live_of(&session.uid, now))
            .unwrap_or_default())
    }

    async fn revoke_all(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        let sessions = self.sessions(sid, now).await?;
        let mut tables = self.tables.borrow_mut();
        sessions.iter().for_each(|session| tables.revoke(&session.sid, now));
        Ok(!sessions.is_empty())
    }

    async fn revoke_other(
        &self,
        sid: &Identifier,
        other: &Identifier,
        now: UnixTime,
    ) -> Result<Ended, Error> {
        let sessions = self.sessions(sid, now).await?;
        if sessions.is_empty() {
            return Ok(Ended::SessionEnded);
        }
        if !sessions.iter().any(|session| session.sid == *other) {
            return Ok(Ended::Unknown);
        }
        self.tables.borrow_mut().revoke(other, now);
        Ok(Ended::Done)
    }

    async fn erase(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        let mut tables = self.tables.borrow_mut();
        let Some(uid) = tables.live(sid, now).map(|session| session.uid.clone()) else {
            return Ok(false);
        };
        tables.users.remove(&uid);
        tables.sessions.retain(|_, (session, _)| session.uid != uid);
        Ok(true)
    }
}
