//! Users and sessions in D1: the only SQL in the crate. The tables are in `migrations`.
//!
//! A call is one statement, or one batch, which D1 runs as a transaction. What must be checked before a
//! write is part of the write.

use serde::Deserialize;
use worker::{D1Database, D1PreparedStatement, D1Result, query};

use crate::{
    identifier::Identifier,
    session::{
        Data, Device, Ended, Error, Expected, Session, SignIn, SignedIn, Store, User, Written,
    },
    time::UnixTime,
};

/// A store in the database that is bound as `DB`.
pub(super) struct D1Store {
    database: D1Database,
}

/// How many expired sessions a sign-in clears away: more than it adds, and little work.
const SWEEP_LIMIT: u32 = 20;

impl D1Store {
    pub(super) const fn new(database: D1Database) -> Self {
        Self { database }
    }

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
                "SELECT users.uid, username, scopes, first_seen_at, last_seen_at, data, data_version
                 FROM sessions JOIN users ON users.uid = sessions.uid
                 WHERE sid = ?1 AND revoked_at IS NULL AND expires_at > ?2",
                sid,
                now
            )
        } else {
            query!(
                &self.database,
                "SELECT users.uid, username, scopes, first_seen_at, last_seen_at
                 FROM sessions JOIN users ON users.uid = sessions.uid
                 WHERE sid = ?1 AND revoked_at IS NULL AND expires_at > ?2",
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
                now,
                SWEEP_LIMIT
            )?,
            query!(
                &self.database,
                "INSERT INTO sessions (sid, uid, created_at, expires_at, user_agent, country)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                session.sid,
                session.uid,
                session.created_at,
                session.expires_at,
                session.device.user_agent,
                session.device.country
            )?,
            query!(
                &self.database,
                "UPDATE sessions SET revoked_at = ?2 WHERE sid IN (
                   SELECT sid FROM sessions
                   WHERE uid = ?1 AND revoked_at IS NULL AND expires_at > ?2
                   ORDER BY sid = ?3 DESC, created_at DESC, sid LIMIT -1 OFFSET ?4)",
                session.uid,
                now,
                session.sid,
                keep
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
             WHERE uid = (SELECT uid FROM sessions WHERE sid = ?1 AND revoked_at IS NULL AND expires_at > ?6)
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
            "UPDATE sessions SET revoked_at = ?2 WHERE sid = ?1 AND revoked_at IS NULL AND expires_at > ?2",
            sid,
            now
        )?)
        .await?;
        Ok(changes(&revoked)? > 0)
    }

    async fn sessions(&self, sid: &Identifier, now: UnixTime) -> Result<Vec<Session>, Error> {
        let found = run(query!(
            &self.database,
            "SELECT sid, uid, created_at, expires_at, user_agent, country FROM sessions
             WHERE uid = (SELECT uid FROM sessions WHERE sid = ?1 AND revoked_at IS NULL AND expires_at > ?2)
               AND revoked_at IS NULL AND expires_at > ?2
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
            "UPDATE sessions SET revoked_at = ?2
             WHERE uid = (SELECT uid FROM sessions WHERE sid = ?1 AND revoked_at IS NULL AND expires_at > ?2)
               AND revoked_at IS NULL AND expires_at > ?2",
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
            "UPDATE sessions SET revoked_at = ?2
             WHERE sid = ?3 AND revoked_at IS NULL AND expires_at > ?2
               AND uid = (SELECT uid FROM sessions WHERE sid = ?1 AND revoked_at IS NULL AND expires_at > ?2)",
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

    async fn erase(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        // The sessions go with their user, by the foreign key.
        let erased = run(query!(
            &self.database,
            "DELETE FROM users
             WHERE uid = (SELECT uid FROM sessions WHERE sid = ?1 AND revoked_at IS NULL AND expires_at > ?2)",
            sid,
            now
        )?)
        .await?;
        Ok(changes(&erased)? > 0)
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
    expires_at: UnixTime,
    user_agent: Option<String>,
    country: Option<String>,
}

impl SessionRow {
    fn into_session(self) -> Session {
        let Self { sid, uid, created_at, expires_at, user_agent, country } = self;
        Session { sid, uid, created_at, expires_at, device: Device { user_agent, country } }
    }
}

async fn run(statement: D1PreparedStatement) -> Result<D1Result, Error> {
    Ok(statement.all().await?)
}

fn rows<T: for<'a> Deserialize<'a>>(result: &D1Result) -> Result<Vec<T>, Error> {
    Ok(result.results()?)
}

fn changes(result: &D1Result) -> Result<usize, Error> {
    Ok(result.meta()?.and_then(|meta| meta.changes).unwrap_or(0))
}

fn failed(reason: &str) -> Error {
    Error { reason: reason.to_owned() }
}

/// D1's message names tables and columns, never values. Its first line is enough, without a stack.
impl From<worker::Error> for Error {
    fn from(error: worker::Error) -> Self {
        let text = error.to_string();
        Self { reason: text.lines().next().unwrap_or_default().chars().take(200).collect() }
    }
}
