//! Users and sessions in D1.

use std::collections::BTreeMap;

use serde::Deserialize;
use worker::query;

use super::{D1Store, changes, failed, rows, run};

use crate::{
    identifier::Identifier,
    session::{
        Data, Device, Ended, Error, Expected, GRACE_SECONDS, KEPT_SECONDS, Lifetimes, RefreshToken,
        Refreshed, Revoked, Session, SignIn, SignedIn, Store, User, Written,
    },
    time::UnixTime,
};

/// How many expired sessions a sign-in clears away: more than it adds, and little work.
const SWEEP_LIMIT: u32 = 20;

impl D1Store {
    async fn record_of(
        &self,
        sid: &Identifier,
        now: UnixTime,
        with_data: bool,
    ) -> Result<Option<UserRow>, Error> {
        // The data can be large, and is fetched only where it is wanted.
        let statement = if with_data {
            query!(
                &self.database,
                "SELECT uid, username, scopes, first_seen_at, users.last_seen_at, data, data_version
                 FROM live_sessions JOIN users USING (uid)
                 WHERE sid = ?1 AND expires_at > ?2",
                sid,
                now
            )
        } else {
            query!(
                &self.database,
                "SELECT uid, username, scopes, first_seen_at, users.last_seen_at
                 FROM live_sessions JOIN users USING (uid)
                 WHERE sid = ?1 AND expires_at > ?2",
                sid,
                now
            )
        };
        Ok(rows::<UserRow>(&run(statement?).await?)?.pop())
    }
}

impl Store for D1Store {
    async fn open(
        &self,
        sign_in: &SignIn,
        session: &Session,
        keep: u32,
        replaced: Option<&Identifier>,
    ) -> Result<SignedIn, Error> {
        let now = session.created_at;
        let statements = vec![
            query!(
                &self.database,
                "INSERT INTO users (uid, username, scopes, first_seen_at, last_seen_at, sign_ins)
                 VALUES (?1, ?2, ?3, ?4, ?4, 1)
                 ON CONFLICT (uid) DO UPDATE SET
                   username = excluded.username,
                   scopes = excluded.scopes,
                   last_seen_at = max(last_seen_at, excluded.last_seen_at),
                   sign_ins = sign_ins + 1
                 RETURNING uid, username, scopes, first_seen_at, last_seen_at, sign_ins",
                sign_in.uid,
                sign_in.username,
                sign_in.scopes.join(" "),
                now
            )?,
            query!(
                &self.database,
                "DELETE FROM sessions WHERE sid IN (
                   SELECT sid FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
                now.minus(KEPT_SECONDS),
                SWEEP_LIMIT
            )?,
            query!(
                &self.database,
                "INSERT INTO sessions (sid, uid, created_at, last_seen_at, token_expires_at,
                   tokens_expire_at, expires_at, app_bound, user_agent, country, epoch)
                 SELECT ?1, ?2, ?3, ?3, ?4, ?4, ?5, ?6, ?7, ?8, max(epoch) FROM epochs",
                session.sid,
                session.uid,
                now,
                session.token_expires_at,
                session.expires_at,
                i32::from(session.app_bound),
                session.device.user_agent,
                session.device.country
            )?,
            query!(
                &self.database,
                "UPDATE sessions SET revoked_at = ?2, expires_at = tokens_expire_at WHERE sid IN (
                   SELECT sid FROM live_sessions WHERE sid = ?5 AND expires_at > ?2
                   UNION ALL
                   SELECT sid FROM (
                     SELECT sid FROM live_sessions WHERE uid = ?1 AND expires_at > ?2 AND sid IS NOT ?5
                     ORDER BY sid = ?3 DESC, created_at DESC, sid LIMIT -1 OFFSET ?4))",
                session.uid,
                now,
                session.sid,
                keep,
                replaced
            )?,
        ];
        let results = self.database.batch(statements).await?;
        let row = results.first().map(rows::<UserRow>).transpose()?.and_then(|mut rows| rows.pop());
        let row = row.ok_or_else(|| failed("the user's row was not returned"))?;
        Ok(SignedIn { is_new: row.sign_ins == Some(1), user: row.into_user()?.0 })
    }

    async fn user(&self, sid: &Identifier, now: UnixTime) -> Result<Option<User>, Error> {
        let row = self.record_of(sid, now, false).await?;
        Ok(row.map(UserRow::into_user).transpose()?.map(|(user, _)| user))
    }

    async fn record(
        &self,
        sid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<(User, Option<Data>)>, Error> {
        self.record_of(sid, now, true).await?.map(UserRow::into_user).transpose()
    }

    async fn write(
        &self,
        sid: &Identifier,
        data: &Data,
        expected: &Expected,
        now: UnixTime,
    ) -> Result<Written, Error> {
        // `?4` says which kind of expectation, `?5` lists versions.
        let (kind, versions) = match expected {
            Expected::Nothing => ("nothing", &[][..]),
            Expected::Something => ("something", &[][..]),
            Expected::Version(versions) => ("version", versions.as_slice()),
        };
        let versions = serde_json::to_string(versions).unwrap_or_default();
        let written = run(query!(
            &self.database,
            "UPDATE users SET data = ?2, data_version = ?3
             WHERE uid = (SELECT uid FROM live_sessions WHERE sid = ?1 AND expires_at > ?6)
               AND CASE ?4
                     WHEN 'nothing' THEN data_version IS NULL
                     WHEN 'something' THEN data_version IS NOT NULL
                     ELSE data_version IN (SELECT value FROM json_each(?5))
                   END",
            sid,
            data.text,
            data.version,
            kind,
            versions,
            now
        )?)
        .await?;
        if changes(&written)? > 0 {
            return Ok(Written::Done);
        }
        // Nothing was written; what for, a second look tells.
        Ok(if self.user(sid, now).await?.is_some() {
            Written::Conflict
        } else {
            Written::SessionEnded
        })
    }

    async fn revoke(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        let revoked = run(query!(
            &self.database,
            "UPDATE sessions SET revoked_at = ?2, expires_at = tokens_expire_at
             WHERE sid = (SELECT sid FROM live_sessions WHERE sid = ?1 AND expires_at > ?2)",
            sid,
            now
        )?)
        .await?;
        Ok(changes(&revoked)? > 0)
    }

    async fn sessions(&self, sid: &Identifier, now: UnixTime) -> Result<Vec<Session>, Error> {
        let found = run(query!(
            &self.database,
            "SELECT sid, uid, created_at, last_seen_at, refreshes, token_expires_at, tokens_expire_at, expires_at,
               app_bound, user_agent, country
             FROM live_sessions
             WHERE uid = (SELECT uid FROM live_sessions WHERE sid = ?1 AND expires_at > ?2)
               AND expires_at > ?2
             ORDER BY created_at DESC, sid",
            sid,
            now
        )?)
        .await?;
        Ok(rows::<SessionRow>(&found)?.into_iter().map(SessionRow::into_session).collect())
    }

    async fn revoke_all(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        let revoked = run(query!(
            &self.database,
            "UPDATE sessions SET revoked_at = ?2, expires_at = tokens_expire_at
             WHERE sid IN (
               SELECT sid FROM live_sessions
               WHERE uid = (SELECT uid FROM live_sessions WHERE sid = ?1 AND expires_at > ?2)
                 AND expires_at > ?2)",
            sid,
            now
        )?)
        .await?;
        Ok(changes(&revoked)? > 0)
    }

    async fn revoke_other(
        &self,
        sid: &Identifier,
        other: &Identifier,
        now: UnixTime,
    ) -> Result<Ended, Error> {
        let revoked = run(query!(
            &self.database,
            "UPDATE sessions SET revoked_at = ?2, expires_at = tokens_expire_at
             WHERE sid = (
               SELECT sid FROM live_sessions
               WHERE sid = ?3 AND expires_at > ?2
                 AND uid = (SELECT uid FROM live_sessions WHERE sid = ?1 AND expires_at > ?2))",
            sid,
            now,
            other
        )?)
        .await?;
        if changes(&revoked)? > 0 {
            return Ok(Ended::Done);
        }
        Ok(if self.user(sid, now).await?.is_some() { Ended::Unknown } else { Ended::SessionEnded })
    }

    async fn refresh(
        &self,
        token: &RefreshToken,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Result<Refreshed, Error> {
        let spent_since = now.minus(GRACE_SECONDS);
        let statements = vec![
            // The one step that spends the token: of all who come with it, one finds the count as it was.
            query!(
                &self.database,
                "UPDATE sessions SET
                   refreshes = refreshes + 1,
                   last_seen_at = ?3,
                   expires_at = min(?3 + ?4, created_at + ?5),
                   token_expires_at = min(?3 + ?6, ?3 + ?4, created_at + ?5),
                   tokens_expire_at = max(tokens_expire_at, min(?3 + ?6, ?3 + ?4, created_at + ?5))
                 WHERE sid = (SELECT sid FROM live_sessions WHERE sid = ?1 AND expires_at > ?3)
                   AND refreshes = ?2 AND created_at + ?5 > ?3",
                token.sid,
                token.refreshes,
                now,
                lifetimes.idle,
                lifetimes.max,
                lifetimes.token
            )?,
            // Spent before the grace, or before the last one: two have it.
            query!(
                &self.database,
                "UPDATE sessions SET revoked_at = ?3, expires_at = tokens_expire_at
                 WHERE sid = (SELECT sid FROM live_sessions WHERE sid = ?1 AND expires_at > ?3)
                   AND (refreshes > ?2 + 1 OR (refreshes = ?2 + 1 AND last_seen_at < ?4))",
                token.sid,
                token.refreshes,
                now,
                spent_since
            )?,
            query!(
                &self.database,
                "SELECT sid, uid, created_at, last_seen_at, refreshes, token_expires_at, tokens_expire_at, expires_at,
                   app_bound, user_agent, country
                 FROM live_sessions WHERE sid = ?1 AND expires_at > ?3 AND refreshes = ?2 + 1",
                token.sid,
                token.refreshes,
                now
            )?,
            query!(
                &self.database,
                "SELECT uid, username, scopes, first_seen_at, last_seen_at
                 FROM users WHERE uid = (SELECT uid FROM sessions WHERE sid = ?1)",
                token.sid
            )?,
        ];
        let results = self.database.batch(statements).await?;
        let [_, reused, session, user] = results.as_slice() else {
            return Err(failed("the batch of a refresh has four results"));
        };
        if changes(reused)? > 0 {
            return Ok(Refreshed::Reused);
        }
        let session = rows::<SessionRow>(session)?.pop().map(SessionRow::into_session);
        let user = rows::<UserRow>(user)?.pop().map(UserRow::into_user).transpose()?;
        Ok(match (session, user) {
            (Some(session), Some((user, _))) => Refreshed::Done(Box::new((session, user))),
            _ => Refreshed::Rejected,
        })
    }

    async fn record_of_user(
        &self,
        uid: &Identifier,
    ) -> Result<Option<(User, Option<Data>)>, Error> {
        let found = run(query!(
            &self.database,
            "SELECT uid, username, scopes, first_seen_at, last_seen_at, data, data_version
             FROM users WHERE uid = ?1",
            uid
        )?)
        .await?;
        rows::<UserRow>(&found)?.pop().map(UserRow::into_user).transpose()
    }

    async fn revoke_user(&self, uid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        let statements = vec![
            query!(
                &self.database,
                "UPDATE users SET valid_after = max(coalesce(valid_after, 0), ?2) WHERE uid = ?1",
                uid,
                now
            )?,
            query!(
                &self.database,
                "UPDATE sessions SET revoked_at = ?2, expires_at = tokens_expire_at
                 WHERE sid IN (SELECT sid FROM live_sessions WHERE uid = ?1 AND expires_at > ?2)",
                uid,
                now
            )?,
        ];
        let results = self.database.batch(statements).await?;
        let user = results.first().ok_or_else(|| failed("the batch has results"))?;
        Ok(changes(user)? > 0)
    }

    async fn revoke_everyone(&self, now: UnixTime) -> Result<(), Error> {
        let statements = vec![
            // Clocks differ a little from one request to another; an epoch never begins before the last one. What was
            // issued in its very second is not before it, and is named. This looks at every session, once in an
            // emergency; the epoch itself touches none.
            query!(
                &self.database,
                "UPDATE sessions SET revoked_at = ?1, expires_at = tokens_expire_at
                 WHERE revoked_at IS NULL AND last_seen_at >= (SELECT max(?1, max(began_at)) FROM epochs)",
                now
            )?,
            query!(
                &self.database,
                "INSERT INTO epochs (epoch, began_at) SELECT max(epoch) + 1, max(?1, max(began_at)) FROM epochs",
                now
            )?,
        ];
        self.database.batch(statements).await?;
        Ok(())
    }

    async fn revoked(
        &self,
        expired_since: UnixTime,
        issued_since: UnixTime,
        limit: u32,
    ) -> Result<Revoked, Error> {
        let statements = vec![
            query!(&self.database, "SELECT began_at FROM epochs ORDER BY epoch DESC LIMIT 1"),
            query!(
                &self.database,
                "SELECT uid, valid_after FROM users WHERE valid_after > ?1",
                issued_since
            )?,
            query!(
                &self.database,
                "SELECT sid FROM sessions JOIN users USING (uid)
                 WHERE revoked_at IS NOT NULL AND expires_at > ?1
                   AND sessions.last_seen_at >= coalesce(valid_after, 0)
                   AND sessions.last_seen_at >= (SELECT began_at FROM epochs ORDER BY epoch DESC LIMIT 1)
                 LIMIT ?2",
                expired_since,
                limit
            )?,
            query!(
                &self.database,
                "SELECT sid FROM erased_sessions WHERE tokens_expire_at > ?1 LIMIT ?2",
                expired_since,
                limit
            )?,
        ];
        let results = self.database.batch(statements).await?;
        let [epoch, users, ended, erased] = results.as_slice() else {
            return Err(failed("the batch of the feed has four results"));
        };
        let epoch = rows::<EpochRow>(epoch)?.pop().map(|row| row.began_at);
        let users = rows::<EndedUserRow>(users)?.into_iter().map(|row| (row.uid, row.valid_after));
        let users = users.collect::<BTreeMap<_, _>>();
        let mut sids = rows::<SidRow>(ended)?;
        sids.extend(rows::<SidRow>(erased)?);
        let mut sids: Vec<Identifier> = sids.into_iter().map(|row| row.sid).collect();
        sids.sort_unstable();
        sids.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(Revoked { epoch, sids, users })
    }

    async fn erase(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        let statements = vec![
            query!(
                &self.database,
                "DELETE FROM erased_sessions WHERE tokens_expire_at <= ?1",
                now.minus(KEPT_SECONDS)
            )?,
            query!(
                &self.database,
                "INSERT INTO erased_sessions (sid, tokens_expire_at)
                 SELECT sid, tokens_expire_at FROM sessions
                 WHERE uid = (SELECT uid FROM live_sessions WHERE sid = ?1 AND expires_at > ?2)
                   AND tokens_expire_at > ?3",
                sid,
                now,
                now.minus(KEPT_SECONDS)
            )?,
            // The sessions go with their user, by the foreign key.
            query!(
                &self.database,
                "DELETE FROM users
                 WHERE uid = (SELECT uid FROM live_sessions WHERE sid = ?1 AND expires_at > ?2)",
                sid,
                now
            )?,
        ];
        let results = self.database.batch(statements).await?;
        let erased = results.last().ok_or_else(|| failed("the batch has results"))?;
        Ok(changes(erased)? > 0)
    }
}

#[derive(Deserialize)]
struct UserRow {
    uid: Identifier,
    username: Option<String>,
    scopes: String,
    first_seen_at: UnixTime,
    last_seen_at: UnixTime,
    sign_ins: Option<i64>,
    data: Option<String>,
    data_version: Option<String>,
}

impl UserRow {
    fn into_user(self) -> Result<(User, Option<Data>), Error> {
        let data = match (self.data, self.data_version) {
            (Some(text), Some(version)) => Some(Data { text, version }),
            (None, None) => None,
            _ => return Err(failed("data and data_version disagree")),
        };
        let user = User {
            uid: self.uid,
            username: self.username,
            scopes: self.scopes.split_ascii_whitespace().map(str::to_owned).collect(),
            first_seen_at: self.first_seen_at,
            last_seen_at: self.last_seen_at,
        };
        Ok((user, data))
    }
}

#[derive(Deserialize)]
struct SessionRow {
    sid: Identifier,
    uid: Identifier,
    created_at: UnixTime,
    last_seen_at: UnixTime,
    refreshes: u32,
    token_expires_at: UnixTime,
    tokens_expire_at: UnixTime,
    expires_at: UnixTime,
    app_bound: u8,
    user_agent: Option<String>,
    country: Option<String>,
}

impl SessionRow {
    fn into_session(self) -> Session {
        Session {
            sid: self.sid,
            uid: self.uid,
            created_at: self.created_at,
            last_seen_at: self.last_seen_at,
            refreshes: self.refreshes,
            token_expires_at: self.token_expires_at,
            tokens_expire_at: self.tokens_expire_at,
            expires_at: self.expires_at,
            app_bound: self.app_bound == 1,
            device: Device { user_agent: self.user_agent, country: self.country },
        }
    }
}

#[derive(Deserialize)]
struct EpochRow {
    began_at: UnixTime,
}

#[derive(Deserialize)]
struct EndedUserRow {
    uid: Identifier,
    valid_after: UnixTime,
}

#[derive(Deserialize)]
struct SidRow {
    sid: Identifier,
}
