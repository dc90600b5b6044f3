//! A store in memory, for tests. It is the reference of how a store behaves.

use std::{cell::RefCell, collections::BTreeMap};

use super::{
    Data, Ended, Erased, Error, Expected, GRACE_SECONDS, Group, KEPT_SECONDS, Lifetimes,
    NAMED_OF_USER, NUMBERS_PER_SECOND, Opened, RACE_SECONDS, RefreshToken, Refreshed, Revoked,
    SIGN_INS_SECONDS, Session, SignIn, SignedIn, Store, TAIL_CHARACTERS, Use, User, Written,
    store::{MAX_PROOFS, PROOFS_SECONDS},
};
use crate::{identifier::Identifier, time::UnixTime};

/// A store in memory. Every other store must behave like it.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: RefCell<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    users: BTreeMap<Identifier, UserRow>,
    sessions: BTreeMap<Identifier, SessionRow>,
    /// When each session began. A session belongs to as many epochs as there were.
    epochs: Vec<UnixTime>,
    /// The sessions of erased users, each with the number of its revocation.
    erased: BTreeMap<Identifier, (Session, u64)>,
    /// The number of the last revocation.
    last_number: u64,
}

#[derive(Debug)]
struct UserRow {
    user: User,
    data: Option<Data>,
    /// When all sessions were last revoked.
    valid_after: Option<UnixTime>,
    /// The number of that revocation.
    number: Option<u64>,
    /// How many sign-ins there were since a time.
    sign_ins: (u32, UnixTime),
    /// How many sign-ins there were at all.
    all_sign_ins: u64,
    /// When and why the user was blocked.
    blocked: Option<(UnixTime, String)>,
}

#[derive(Debug)]
struct SessionRow {
    session: Session,
    is_revoked: bool,
    /// The number of its revocation, if the feed names it.
    number: Option<u64>,
    epoch: usize,
    /// The value with which the predecessor of the newest refresh token was spent.
    spent_with: Option<Identifier>,
    /// The ids of proofs, the time of the first of them, and the ids of the list before.
    proofs: (String, UnixTime, String),
}

impl Tables {
    fn is_live(&self, row: &SessionRow, now: UnixTime) -> bool {
        !row.is_revoked && row.epoch == self.epochs.len() && now < row.session.expires_at
    }

    fn live(&self, sid: &Identifier, now: UnixTime) -> Option<&Session> {
        let row = self.sessions.get(sid)?;
        self.is_live(row, now).then_some(&row.session)
    }

    /// The live sessions of a user, the newest first.
    fn live_of(&self, uid: &Identifier, now: UnixTime) -> Vec<Session> {
        let rows = self.sessions.values();
        let live = rows.filter(|row| row.session.uid == *uid && self.is_live(row, now));
        let mut live: Vec<Session> = live.map(|row| row.session.clone()).collect();
        live.sort_by(|a, b| b.created_at.cmp(&a.created_at).then(a.sid.cmp(&b.sid)));
        live
    }

    /// The number of a revocation at this time.
    fn next_number(&mut self, now: UnixTime) -> u64 {
        let time = u64::try_from(now.seconds()).unwrap_or(0) * NUMBERS_PER_SECOND;
        self.last_number = time.max(self.last_number + 1);
        self.last_number
    }

    /// The row stays for as long as one of its tokens could be unexpired.
    fn revoke(&mut self, sid: &Identifier, now: UnixTime) {
        let number = self.next_number(now);
        if let Some(row) = self.sessions.get_mut(sid) {
            let user = self.users.get(&row.session.uid);
            let valid_after = user.and_then(|user| user.valid_after);
            row.is_revoked = true;
            row.number = (Some(row.session.last_seen_at) >= valid_after).then_some(number);
            row.session.expires_at = row.session.tokens_expire_at;
        }
    }
}

impl Tables {
    /// Erases a user. Returns whether there was one.
    fn erase(&mut self, uid: &Identifier, now: UnixTime) -> bool {
        let is_known = self.users.remove(uid).is_some();
        let (gone, kept) = std::mem::take(&mut self.sessions)
            .into_iter()
            .partition(|(_, row)| row.session.uid == *uid);
        self.sessions = kept;
        let gone: BTreeMap<Identifier, SessionRow> = gone;
        for (sid, row) in gone {
            let number = self.next_number(now);
            self.erased.insert(sid, (row.session, number));
        }
        is_known
    }
}

impl MemoryStore {
    /// When and why a user was blocked.
    #[must_use]
    pub fn blocked(&self, uid: &Identifier) -> Option<(UnixTime, String)> {
        self.tables.borrow().users.get(uid)?.blocked.clone()
    }

    /// The numbers of users and of sessions.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let tables = self.tables.borrow();
        (tables.users.len(), tables.sessions.len())
    }

    /// Every user, with the data and the number of sign-ins.
    #[must_use]
    pub fn users(&self) -> Vec<(User, Option<Data>, u64)> {
        let tables = self.tables.borrow();
        let rows = tables.users.values();
        rows.map(|row| (row.user.clone(), row.data.clone(), row.all_sign_ins)).collect()
    }

    /// The stored sessions of a user, the newest first, each with whether it is live.
    #[must_use]
    pub fn stored_sessions(&self, uid: &Identifier, now: UnixTime) -> Vec<(Session, bool)> {
        let tables = self.tables.borrow();
        let rows = tables.sessions.values().filter(|row| row.session.uid == *uid);
        let mut found: Vec<_> =
            rows.map(|row| (row.session.clone(), tables.is_live(row, now))).collect();
        found.sort_by(|(a, _), (b, _)| {
            b.created_at.cmp(&a.created_at).then_with(|| a.sid.cmp(&b.sid))
        });
        found
    }

    /// The live sessions of a user, the newest first.
    #[must_use]
    pub fn live_sessions(&self, uid: &Identifier, now: UnixTime) -> Vec<Session> {
        self.tables.borrow().live_of(uid, now)
    }
}

impl Store for MemoryStore {
    async fn open(
        &self,
        sign_in: &SignIn,
        session: &Session,
        keep: u32,
        replaced: Option<&Identifier>,
    ) -> Result<Opened, Error> {
        let mut tables = self.tables.borrow_mut();
        let now = session.created_at;
        tables.sessions.retain(|_, row| {
            row.session.uid != sign_in.uid || now < row.session.expires_at.plus(KEPT_SECONDS)
        });
        if tables.users.get(&sign_in.uid).is_some_and(|row| row.blocked.is_some()) {
            return Ok(Opened::Blocked);
        }
        let valid_after = tables.users.get(&sign_in.uid).and_then(|row| row.valid_after);
        let ended_until = tables.epochs.last().copied().max(valid_after);
        if let Some(not_before) = ended_until.filter(|moment| *moment > now) {
            return Ok(Opened::Superseded { not_before });
        }
        if let Some(row) = tables.sessions.get(&session.sid) {
            let found = row.session.clone();
            let is_unused =
                tables.is_live(row, now) && found.refreshes == 0 && found.token_expires_at > now;
            let user = tables.users.get(&found.uid).map(|row| row.user.clone());
            return Ok(match user.filter(|_| is_unused) {
                Some(user) => {
                    let is_new = user.first_seen_at == found.created_at;
                    Opened::Repeated(Box::new((found, SignedIn { user, is_new })))
                }
                None => Opened::Taken,
            });
        }
        let before = tables.users.remove(&sign_in.uid);
        let is_new = before.is_none();
        let (count, since) = before.as_ref().map_or((0, now), |row| row.sign_ins);
        let sign_ins =
            if since.plus(SIGN_INS_SECONDS) > now { (count + 1, since) } else { (1, now) };
        let is_flooding = sign_ins.0 > NAMED_OF_USER;
        let number = before.as_ref().and_then(|row| row.number);
        let all_sign_ins = before.as_ref().map_or(0, |row| row.all_sign_ins).saturating_add(1);
        let (first_seen_at, data) =
            before.map_or((now, None), |row| (row.user.first_seen_at, row.data));
        let user = User {
            uid: sign_in.uid.clone(),
            username: sign_in.username.clone(),
            scopes: sign_in.scopes.clone(),
            first_seen_at,
            last_seen_at: now,
        };
        let (valid_after, number) = if is_flooding {
            (Some(now), Some(tables.next_number(now)))
        } else {
            (valid_after, number)
        };
        let row = UserRow {
            user: user.clone(),
            data,
            valid_after,
            number,
            sign_ins,
            all_sign_ins,
            blocked: None,
        };
        tables.users.insert(sign_in.uid.clone(), row);
        if let Some(replaced) = replaced.filter(|sid| tables.live(sid, now).is_some()) {
            tables.revoke(replaced, now);
        }
        let others = usize::try_from(keep.saturating_sub(1)).unwrap_or(usize::MAX);
        for old in tables.live_of(&session.uid, now).iter().skip(others) {
            tables.revoke(&old.sid, now);
        }
        let epoch = tables.epochs.len();
        let row = SessionRow {
            session: session.clone(),
            is_revoked: false,
            number: None,
            epoch,
            spent_with: None,
            proofs: (String::new(), UnixTime::MIN, String::new()),
        };
        tables.sessions.insert(session.sid.clone(), row);
        Ok(Opened::Done(SignedIn { user, is_new }))
    }

    async fn user(&self, sid: &Identifier, now: UnixTime) -> Result<Option<User>, Error> {
        Ok(self.record(sid, now).await?.map(|(user, _)| user))
    }

    async fn record(
        &self,
        sid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<(User, Option<Data>)>, Error> {
        let uid = self.tables.borrow().live(sid, now).map(|session| session.uid.clone());
        match uid {
            Some(uid) => self.record_of_user(&uid).await,
            None => Ok(None),
        }
    }

    async fn record_of_user(
        &self,
        uid: &Identifier,
    ) -> Result<Option<(User, Option<Data>)>, Error> {
        let tables = self.tables.borrow();
        Ok(tables.users.get(uid).map(|row| (row.user.clone(), row.data.clone())))
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
        let Some(UserRow { data: stored, .. }) = tables.users.get_mut(&uid) else {
            return Ok(Written::SessionEnded);
        };
        let version = stored.as_ref().map(|stored| stored.version.as_str());
        if version != Some(&data.version) && !expected.admits(version) {
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
        let live = tables.live(sid, now);
        Ok(live.map(|session| tables.live_of(&session.uid, now)).unwrap_or_default())
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

    async fn refresh(
        &self,
        token: &RefreshToken,
        with: Use<'_>,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Result<Refreshed, Error> {
        let mut tables = self.tables.borrow_mut();
        if tables.live(&token.sid, now).is_none() {
            return Ok(Refreshed::Rejected);
        }
        let Some(row) = tables.sessions.get_mut(&token.sid) else { return Ok(Refreshed::Rejected) };
        if row.session.thumbprint.as_ref() != with.thumbprint() {
            return Ok(Refreshed::OtherKey);
        }
        let spent = i64::from(row.session.refreshes) - i64::from(token.refreshes);
        if let Use::Plain(value) = with {
            let limit = match (value, &row.spent_with) {
                (None, None) => GRACE_SECONDS,
                (value, other) if value == other.as_ref() => u32::MAX,
                _ => RACE_SECONDS,
            };
            let is_late = now.since(row.session.last_seen_at) > i64::from(limit);
            if spent > 1 || (spent == 1 && is_late) {
                tables.revoke(&token.sid, now);
                return Ok(Refreshed::Reused);
            }
        }
        let (token_expires_at, expires_at) = lifetimes.ends(row.session.created_at, now);
        if spent < 0 || expires_at <= now {
            return Ok(Refreshed::Rejected);
        }
        let is_expired = row.session.token_expires_at <= now;
        // A repeat has the number of the first use, because it spends nothing.
        let refreshes = match with {
            Use::Plain(_) => token.refreshes,
            Use::Proven { .. } => row.session.refreshes,
        };
        let is_refreshed = match with {
            Use::Plain(value) => {
                if spent == 0 || is_expired {
                    row.spent_with = value.cloned();
                }
                spent == 0 || is_expired
            }
            Use::Proven { jti, .. } => {
                let (proofs, since, older) = &mut row.proofs;
                let id = format!(" {jti} ");
                if proofs.contains(&id) || older.contains(&id) {
                    return Ok(Refreshed::Replayed);
                }
                if *since <= now.minus(PROOFS_SECONDS) {
                    (*older, *since) = (std::mem::take(proofs), now);
                }
                if proofs.len() >= usize::try_from(MAX_PROOFS).unwrap_or(usize::MAX) {
                    return Ok(Refreshed::Crowded);
                }
                proofs.push_str(&id);
                spent == 0 || is_expired
            }
        };
        let session = &mut row.session;
        if is_refreshed {
            session.refreshes = refreshes.saturating_add(1);
            session.last_seen_at = now;
            (session.token_expires_at, session.expires_at) = (token_expires_at, expires_at);
            session.tokens_expire_at = session.tokens_expire_at.max(token_expires_at);
        }
        let session = session.clone();
        let user = tables.users.get(&session.uid).map(|row| row.user.clone());
        Ok(user.map_or(Refreshed::Rejected, |user| Refreshed::Done(Box::new((session, user)))))
    }

    async fn revoke_user(&self, uid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        let mut tables = self.tables.borrow_mut();
        let number = tables.next_number(now);
        let Some(row) = tables.users.get_mut(uid) else { return Ok(false) };
        (row.valid_after, row.number) = (row.valid_after.max(Some(now)), Some(number));
        for session in tables.live_of(uid, now) {
            tables.revoke(&session.sid, now);
        }
        Ok(true)
    }

    async fn revoke_everyone(&self, now: UnixTime) -> Result<(), Error> {
        let mut tables = self.tables.borrow_mut();
        // Clocks differ a little between requests. An epoch never begins before the last one.
        let began_at = tables.epochs.last().copied().unwrap_or(UnixTime::MIN).max(now);
        // Sessions of this very second are not before the epoch, so they are named.
        let rows = tables.sessions.values();
        let newest = rows.filter(|row| row.session.last_seen_at >= began_at);
        let newest: Vec<Identifier> = newest.map(|row| row.session.sid.clone()).collect();
        newest.iter().for_each(|sid| tables.revoke(sid, now));
        tables.epochs.push(began_at);
        Ok(())
    }

    async fn block(&self, uid: &Identifier, reason: &str, now: UnixTime) -> Result<bool, Error> {
        let is_known = self.revoke_user(uid, now).await?;
        if let Some(row) = self.tables.borrow_mut().users.get_mut(uid) {
            row.blocked = Some((now, reason.to_owned()));
        }
        Ok(is_known)
    }

    async fn unblock(&self, uid: &Identifier) -> Result<bool, Error> {
        let mut tables = self.tables.borrow_mut();
        let row = tables.users.get_mut(uid);
        Ok(row.map(|row| row.blocked = None).is_some())
    }

    async fn erase_user(
        &self,
        uid: &Identifier,
        _limit: u32,
        now: UnixTime,
    ) -> Result<bool, Error> {
        Ok(self.tables.borrow_mut().erase(uid, now))
    }

    async fn revoked(
        &self,
        after: u64,
        expired_since: UnixTime,
        issued_since: UnixTime,
        limits: (u32, u32),
    ) -> Result<Revoked, Error> {
        let tables = self.tables.borrow();
        let [sessions, users] = [limits.0, limits.1].map(|limit| limit as usize);
        let named = tables
            .users
            .iter()
            .filter_map(|(uid, row)| Some((row.number?, uid.clone(), row.valid_after?)));
        let mut named: Vec<_> = named.filter(|(.., moment)| *moment > issued_since).collect();
        named.sort_unstable_by(|a, b| b.cmp(a));
        named.truncate(users);
        let revoked = tables.sessions.values().filter_map(|row| Some((row.number?, &row.session)));
        let erased = tables.erased.values().map(|(session, number)| (*number, session));
        let mut revoked: Vec<_> = revoked
            .chain(erased)
            .filter(|(number, session)| *number > after && session.tokens_expire_at > expired_since)
            .collect();
        revoked.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        revoked.truncate(sessions);
        let mut groups: Vec<Group> = Vec::new();
        for (number, session) in revoked.into_iter().rev() {
            let sid = session.sid.as_str();
            let padded = format!("{}{sid}", "A".repeat(TAIL_CHARACTERS));
            let tail = padded.get(padded.len() - TAIL_CHARACTERS..).unwrap_or_default();
            let second = number / NUMBERS_PER_SECOND;
            match groups.last_mut() {
                Some(group) if group.number / NUMBERS_PER_SECOND == second => {
                    group.number = number;
                    group.count += 1;
                    group.last_seen_at = group.last_seen_at.max(session.last_seen_at);
                    group.tokens_expire_at = group.tokens_expire_at.max(session.tokens_expire_at);
                    group.tails.push_str(tail);
                }
                _ => groups.push(Group {
                    number,
                    count: 1,
                    last_seen_at: session.last_seen_at,
                    tokens_expire_at: session.tokens_expire_at,
                    tails: tail.to_owned(),
                }),
            }
        }
        Ok(Revoked { epoch: tables.epochs.last().copied(), users: named, sessions: groups })
    }

    async fn erase(&self, sid: &Identifier, _limit: u32, now: UnixTime) -> Result<Erased, Error> {
        let mut tables = self.tables.borrow_mut();
        let Some(uid) = tables.live(sid, now).map(|session| session.uid.clone()) else {
            return Ok(Erased::SessionEnded);
        };
        tables.erase(&uid, now);
        Ok(Erased::Done)
    }

    async fn forget(&self, _limit: u32) -> Result<bool, Error> {
        // In this store, only the user's own row and sessions contain a user's name.
        Ok(false)
    }

    async fn sweep(&self, now: UnixTime, _limit: u32) -> Result<usize, Error> {
        let mut tables = self.tables.borrow_mut();
        let before = tables.sessions.len().saturating_add(tables.erased.len());
        tables.sessions.retain(|_, row| now < row.session.expires_at.plus(KEPT_SECONDS));
        tables.erased.retain(|_, (session, _)| now < session.tokens_expire_at.plus(KEPT_SECONDS));
        let after = tables.sessions.len().saturating_add(tables.erased.len());
        Ok(before.saturating_sub(after))
    }
}
