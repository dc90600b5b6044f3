//! Users and sessions in D1.

use super::{D1Store, Outcome, Row, Statement, counts, failed, query, session_user};

use crate::{
    identifier::Identifier,
    session::{
        Data, Device, Ended, Erased, Error, Expected, GRACE_SECONDS, Group, KEPT_SECONDS,
        Lifetimes, MAX_PROOFS, NAMED_OF_USER, NUMBERS_PER_SECOND, Opened, PROOFS_SECONDS,
        RACE_SECONDS, RefreshToken, Refreshed, Revoked, SIGN_INS_SECONDS, Session, SignIn,
        SignedIn, Store, TAIL_CHARACTERS, Use, User, Written,
    },
    time::UnixTime,
};

/// How many expired sessions of its user a sign-in deletes: more than it adds, and little work.
const SWEEP_LIMIT: u32 = 20;

/// The number of a revocation at the time of this parameter (`NUMBERS_PER_SECOND`). D1 runs one
/// transaction after the other, so a reader that knows a number has missed none below it.
macro_rules! number {
    ($now:literal) => {
        concat!("max(", $now, " * 1000, (SELECT number FROM last_revocation) + 1)")
    };
}

/// The columns of a session that is revoked at the time of this parameter, by name.
macro_rules! revoked {
    ($now:literal) => {
        concat!(
            "revoked_at = ",
            $now,
            ", expires_at = tokens_expire_at, revocation = ",
            number!($now)
        )
    };
}

/// The statements that erase the user that this expression names, at the time `?2`. The second one
/// erases the row. It stays as long as other rows refer to it: with very many of them, deleting it
/// would block the database.
macro_rules! erase {
    ($user:expr, $limit:expr, $of:expr, $now:expr) => {{
        let mut statements = vec![
            query!(
                concat!(
                    "INSERT INTO erased_sessions (sid, tokens_expire_at, last_seen_at, revocation)
                 SELECT sid, tokens_expire_at, last_seen_at, ",
                    number!("?2"),
                    " FROM sessions
                 WHERE uid = ",
                    $user,
                    " AND tokens_expire_at > ?3
                 ON CONFLICT (sid) DO UPDATE SET
                   tokens_expire_at = excluded.tokens_expire_at, last_seen_at = excluded.last_seen_at,
                   revocation = excluded.revocation"
                ),
                $of,
                $now,
                $now.minus(KEPT_SECONDS)
            ),
            query!(
                concat!(
                    "UPDATE users SET username = NULL, scopes = '', data = NULL, data_version = NULL,
                   valid_after = NULL, revocation = NULL, counted = 0, counted_since = 0,
                   first_seen_at = 0, last_seen_at = 0, sign_ins = 0, erased_at = ?2
                 WHERE uid = ",
                    $user,
                    " AND erased_at IS NULL"
                ),
                $of,
                $now
            ),
            query!(
                concat!(
                    "DELETE FROM sessions
                 WHERE uid = (SELECT uid FROM users WHERE uid = ",
                    $user,
                    " AND erased_at = ?2)"
                ),
                $of,
                $now
            ),
        ];
        statements.extend(forget($limit));
        statements
    }};
}

/// The place of the statement of `erase!` that erases the user's row.
pub(super) const ERASED_BY: usize = 1;

const _: () = assert!(NUMBERS_PER_SECOND == 1000 && TAIL_CHARACTERS == 12);

impl D1Store<'_> {
    /// The reason why a session did not begin: there is one with its id, the user is blocked, or it
    /// must begin later.
    async fn not_begun(&self, session: &Session, has_blocks: bool) -> Result<Opened, Error> {
        let statements = [
            query!(
                "SELECT sid, uid, created_at, last_seen_at, refreshes, token_expires_at, tokens_expire_at, expires_at,
                   app_id, thumbprint, user_agent, country
                 FROM sessions WHERE sid = ?1",
                session.sid
            ),
            query!(
                "SELECT uid, username, scopes, first_seen_at, users.last_seen_at
                 FROM live_sessions JOIN users USING (uid)
                 WHERE sid = ?1 AND expires_at > ?2 AND token_expires_at > ?2 AND refreshes = 0",
                session.sid,
                session.created_at
            ),
        ];
        let [taken, owner] = self.batch(statements).await?;
        Ok(match (taken.one(self::session)?, owner.one(user)?) {
            (Some(found), Some((user, _))) => {
                let is_new = user.first_seen_at == found.created_at;
                Opened::Repeated(Box::new((found, SignedIn { user, is_new })))
            }
            (Some(_), None) => Opened::Taken,
            (None, _) if has_blocks && self.is_blocked(&session.uid).await? => Opened::Blocked,
            (None, _) => self.superseded(&session.uid).await?,
        })
    }

    async fn is_blocked(&self, uid: &Identifier) -> Result<bool, Error> {
        let found = query!("SELECT 1 FROM users WHERE uid = ?1 AND blocked_at IS NOT NULL", uid);
        Ok(!self.run(found).await?.is_empty())
    }

    /// The time from which on a new session of this user may begin.
    async fn superseded(&self, uid: &Identifier) -> Result<Opened, Error> {
        let found = self
            .run(query!(
                "SELECT max(max(began_at), coalesce((SELECT valid_after FROM users WHERE uid = ?1), 0)) AS not_before
             FROM epochs",
                uid
            ))
            .await?;
        let not_before = found.one(|mut row| row.take("not_before"))?;
        not_before
            .map(|not_before| Opened::Superseded { not_before })
            .ok_or_else(|| failed("there is no epoch"))
    }
}

impl Store for D1Store<'_> {
    async fn open(
        &self,
        sign_in: &SignIn,
        session: &Session,
        keep: u32,
        replaced: Option<&Identifier>,
    ) -> Result<Opened, Error> {
        // Until the newest migration is applied, nobody is blocked. Every sign-in asks again, so
        // that a block counts as soon as there can be one.
        let mut has_blocks = true;
        let begun = loop {
            let mut statements = open(sign_in, session, keep, replaced, has_blocks);
            let is_counted = self.counts.get();
            if is_counted {
                statements.insert(COUNTED_AFTER, counts::sign_in(&session.uid, session.created_at));
            }
            match self.batch_of(statements).await {
                // Again, without counting.
                Err(error) if is_counted && self.lacks_counts(&error) => {}
                Err(error) if has_blocks && lacks_blocks(&error) => has_blocks = false,
                outcome => break outcome?,
            }
        };
        let mut outcomes = begun.into_iter();
        let (_, written, begun) = (outcomes.next(), outcomes.next(), outcomes.next());
        let (Some(written), Some(begun)) = (written, begun) else {
            return Err(failed("D1 did not return an outcome for every statement"));
        };
        if begun.changes() == 0 {
            return self.not_begun(session, has_blocks).await;
        }
        let signed_in = written.one(|mut row| {
            let sign_ins: i64 = row.take("sign_ins")?;
            let (is_new, mut user) = (sign_ins == 1, user(row)?.0);
            // The row gets these two later in the batch, if they have changed.
            user.username.clone_from(&sign_in.username);
            if is_new {
                user.first_seen_at = session.created_at;
            }
            Ok(SignedIn { user, is_new })
        })?;
        let signed_in = signed_in.ok_or_else(|| failed("the user's row was not returned"))?;
        Ok(Opened::Done(signed_in))
    }

    async fn user(&self, sid: &Identifier, now: UnixTime) -> Result<Option<User>, Error> {
        Ok(self.run(record_of(sid, now, false)).await?.one(user)?.map(|(user, _)| user))
    }

    async fn record(
        &self,
        sid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<(User, Option<Data>)>, Error> {
        self.run(record_of(sid, now, true)).await?.one(user)
    }

    async fn write(
        &self,
        sid: &Identifier,
        data: &Data,
        expected: &Expected,
        now: UnixTime,
    ) -> Result<Written, Error> {
        // `?4` is the kind of the expectation, `?5` the versions.
        let (kind, versions) = match expected {
            Expected::Nothing => ("nothing", &[][..]),
            Expected::Something => ("something", &[][..]),
            Expected::Version(versions) => ("version", versions.as_slice()),
        };
        let versions = serde_json::to_string(versions).unwrap_or_default();
        let statements = [
            query!(
                "UPDATE users SET data = ?2, data_version = ?3
                 WHERE uid = (SELECT uid FROM live_sessions WHERE sid = ?1 AND expires_at > ?6)
                   AND (data_version = ?3 OR CASE ?4
                         WHEN 'nothing' THEN data_version IS NULL
                         WHEN 'something' THEN data_version IS NOT NULL
                         ELSE data_version IN (SELECT value FROM json_each(?5))
                       END)",
                sid,
                data.text,
                data.version,
                kind,
                versions,
                now
            ),
            live(sid, now),
        ];
        let [written, session] = self.batch(statements).await?;
        Ok(match (written.changes(), session.is_empty()) {
            (_, true) => Written::SessionEnded,
            (0, false) => Written::Conflict,
            (_, false) => Written::Done,
        })
    }

    async fn revoke(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        Ok(self.run(revoke(sid, now)).await?.changes() > 0)
    }

    async fn sessions(&self, sid: &Identifier, now: UnixTime) -> Result<Vec<Session>, Error> {
        let found = self.run(query!(
            "SELECT sid, uid, created_at, last_seen_at, refreshes, token_expires_at, tokens_expire_at, expires_at,
               app_id, thumbprint, user_agent, country
             FROM live_sessions
             WHERE uid = (SELECT uid FROM live_sessions WHERE sid = ?1 AND expires_at > ?2)
               AND expires_at > ?2
             ORDER BY created_at DESC, sid",
            sid,
            now
        ))
        .await?;
        found.all(session)
    }

    async fn revoke_all(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        let revoked = self
            .run(query!(
                concat!(
                    "UPDATE sessions SET ",
                    revoked!("?2"),
                    "
             WHERE sid IN (
               SELECT sid FROM live_sessions
               WHERE uid = (SELECT uid FROM live_sessions WHERE sid = ?1 AND expires_at > ?2)
                 AND expires_at > ?2)"
                ),
                sid,
                now
            ))
            .await?;
        Ok(revoked.changes() > 0)
    }

    async fn revoke_other(
        &self,
        sid: &Identifier,
        other: &Identifier,
        now: UnixTime,
    ) -> Result<Ended, Error> {
        let revoke = query!(
            concat!(
                "UPDATE sessions SET ",
                revoked!("?2"),
                "
             WHERE sid = (
               SELECT sid FROM live_sessions
               WHERE sid = ?3 AND expires_at > ?2
                 AND uid = (SELECT uid FROM live_sessions WHERE sid = ?1 AND expires_at > ?2))"
            ),
            sid,
            now,
            other
        );
        let [revoked, user] = self.batch([revoke, live(sid, now)]).await?;
        Ok(match (revoked.changes(), user.is_empty()) {
            (1.., _) => Ended::Done,
            (0, false) => Ended::Unknown,
            (0, true) => Ended::SessionEnded,
        })
    }

    async fn refresh(
        &self,
        token: &RefreshToken,
        with: Use<'_>,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Result<Refreshed, Error> {
        let [refresh, repeat] = match with {
            Use::Plain(value) => spend(token, value, lifetimes, now),
            Use::Proven { thumbprint, jti } => prove(token, thumbprint, jti, lifetimes, now),
        };
        let jti = match with {
            Use::Plain(_) => None,
            Use::Proven { jti, .. } => Some(format!(" {jti} ")),
        };
        let statements = [
            refresh,
            repeat,
            query!(
                "SELECT sid, uid, created_at, last_seen_at, refreshes, token_expires_at, tokens_expire_at, expires_at,
                   app_id, thumbprint, user_agent, country,
                   instr(coalesce(proofs, '') || coalesce(older_proofs, ''), ?3) AS is_known
                 FROM live_sessions WHERE sid = ?1 AND expires_at > ?2",
                token.sid,
                now,
                jti
            ),
            query!(
                "SELECT uid, username, scopes, first_seen_at, last_seen_at
                 FROM users WHERE uid = (SELECT uid FROM sessions WHERE sid = ?1)",
                token.sid
            ),
        ];
        let [refreshed, repeated, found, owner] = self.batch(statements).await?;
        let [is_refreshed, is_repeated] =
            [refreshed, repeated].map(|outcome| outcome.changes() > 0);
        if is_repeated && matches!(with, Use::Plain(_)) {
            return Ok(Refreshed::Reused);
        }
        let found = found.one(|mut row| {
            let is_known: Option<u32> = row.take("is_known")?;
            Ok((session(row)?, is_known > Some(0)))
        })?;
        let (Some((session, is_known)), Some((user, _))) = (found, owner.one(user)?) else {
            return Ok(Refreshed::Rejected);
        };
        let is_done = match with {
            _ if session.thumbprint.as_ref() != with.thumbprint() => {
                return Ok(Refreshed::OtherKey);
            }
            Use::Plain(_) => token.refreshes.checked_add(1) == Some(session.refreshes),
            Use::Proven { .. } => is_refreshed || is_repeated,
        };
        Ok(match with {
            _ if is_done => Refreshed::Done(Box::new((session, user))),
            Use::Proven { .. } if is_known => Refreshed::Replayed,
            Use::Proven { .. } if token.refreshes <= session.refreshes => Refreshed::Crowded,
            _ => Refreshed::Rejected,
        })
    }

    async fn record_of_user(
        &self,
        uid: &Identifier,
    ) -> Result<Option<(User, Option<Data>)>, Error> {
        self.run(record_of_user(uid)).await?.one(user)
    }

    async fn revoke_user(&self, uid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        let [user, _] = self.batch(revoke_user(uid, now)).await?;
        Ok(user.changes() > 0)
    }

    async fn revoke_everyone(&self, now: UnixTime) -> Result<(), Error> {
        self.batch(revoke_everyone(now)).await?;
        Ok(())
    }

    async fn block(&self, uid: &Identifier, reason: &str, now: UnixTime) -> Result<bool, Error> {
        let [user, ..] = self.batch(block(uid, reason, now)).await?;
        Ok(user.changes() > 0)
    }

    async fn unblock(&self, uid: &Identifier) -> Result<bool, Error> {
        Ok(self.run(unblock(uid)).await?.changes() > 0)
    }

    async fn erase_user(&self, uid: &Identifier, limit: u32, now: UnixTime) -> Result<bool, Error> {
        let outcomes = self.batch_of(erase_user(uid, limit, now)).await?;
        Ok(outcomes.get(ERASED_BY).is_some_and(|erased| erased.changes() > 0))
    }

    async fn revoked(
        &self,
        after: u64,
        expired_since: UnixTime,
        issued_since: UnixTime,
        limits: (u32, u32),
    ) -> Result<Revoked, Error> {
        let statements = [
            query!("SELECT began_at FROM epochs ORDER BY epoch DESC LIMIT 1"),
            query!(
                "SELECT revocation, uid, valid_after FROM users
                 WHERE revocation > ?1 * 1000 AND valid_after > ?1
                 ORDER BY revocation DESC LIMIT ?2",
                issued_since,
                limits.1
            ),
            // One row for each second, whose ids cross as one text.
            query!(
                "SELECT max(revocation) AS number, count(*) AS count,
                   max(last_seen_at) AS last_seen_at, max(tokens_expire_at) AS tokens_expire_at,
                   group_concat(substr('AAAAAAAAAAAA' || sid, -12), '') AS tails
                 FROM (
                   SELECT revocation, sid, last_seen_at, tokens_expire_at FROM sessions
                   WHERE revocation > ?1 AND tokens_expire_at > ?2
                   UNION ALL
                   SELECT revocation, sid, last_seen_at, tokens_expire_at FROM erased_sessions
                   WHERE revocation > ?1 AND tokens_expire_at > ?2
                   ORDER BY 1 DESC LIMIT ?3)
                 GROUP BY revocation / 1000 ORDER BY 1",
                after,
                expired_since,
                limits.0
            ),
        ];
        let [epoch, users, sessions] = self.batch(statements).await?;
        Ok(Revoked {
            epoch: epoch.one(|mut row| row.take("began_at"))?,
            users: users.all(|mut row| {
                Ok((row.take("revocation")?, row.take("uid")?, row.take("valid_after")?))
            })?,
            sessions: sessions.all(|mut row| {
                Ok(Group {
                    number: row.take("number")?,
                    count: row.take("count")?,
                    last_seen_at: row.take("last_seen_at")?,
                    tokens_expire_at: row.take("tokens_expire_at")?,
                    tails: row.take("tails")?,
                })
            })?,
        })
    }

    async fn erase(&self, sid: &Identifier, limit: u32, now: UnixTime) -> Result<Erased, Error> {
        let statements = erase!(session_user!(), limit, sid, now);
        let outcomes = self.batch_of(statements).await?;
        if outcomes.get(ERASED_BY).is_none_or(|erased| erased.changes() == 0) {
            return Ok(Erased::SessionEnded);
        }
        let pieces = outcomes.get(ERASED_BY + 2..).unwrap_or_default();
        Ok(if is_any_full(pieces, limit) { Erased::Partly } else { Erased::Done })
    }

    async fn forget(&self, limit: u32) -> Result<bool, Error> {
        Ok(is_any_full(&self.batch(forget(limit)).await?, limit))
    }

    async fn sweep(&self, now: UnixTime, limit: u32) -> Result<usize, Error> {
        let ended_before = now.minus(KEPT_SECONDS);
        let [from, to] = part(now);
        let statements = [
            // The last number stays for a while, so that no clock makes a lower one.
            query!(
                "DELETE FROM sessions WHERE sid IN (
                   SELECT sid FROM sessions
                   WHERE sid >= ?3 AND sid < ?4 AND expires_at <= ?1
                     AND coalesce(revocation, 0) <= ?1 * 1000 LIMIT ?2)",
                ended_before,
                limit,
                from,
                to
            ),
            query!(
                "DELETE FROM erased_sessions WHERE sid IN (
                   SELECT sid FROM erased_sessions WHERE tokens_expire_at <= ?1
                     AND coalesce(revocation, 0) <= ?1 * 1000
                   ORDER BY tokens_expire_at LIMIT ?2)",
                ended_before,
                limit
            ),
        ];
        let outcomes = self.batch(statements).await?;
        Ok(outcomes.iter().map(Outcome::changes).sum())
    }
}

/// Revokes a live session.
pub(super) fn revoke(sid: &Identifier, now: UnixTime) -> Statement {
    query!(
        concat!(
            "UPDATE sessions SET ",
            revoked!("?2"),
            "
             WHERE sid = (SELECT sid FROM live_sessions WHERE sid = ?1 AND expires_at > ?2)"
        ),
        sid,
        now
    )
}

/// Revokes all sessions of a user. The first statement changes the user's row.
pub(super) fn revoke_user(uid: &Identifier, now: UnixTime) -> [Statement; 2] {
    [
        query!(
            concat!(
                "UPDATE users SET valid_after = max(coalesce(valid_after, 0), ?2), revocation = ",
                number!("?2"),
                "
                 WHERE uid = ?1 AND erased_at IS NULL"
            ),
            uid,
            now
        ),
        query!(
            concat!(
                "UPDATE sessions SET revoked_at = ?2, expires_at = tokens_expire_at,
                   revocation = iif(last_seen_at >= (SELECT valid_after FROM users WHERE uid = ?1), ",
                number!("?2"),
                ", NULL)
                 WHERE sid IN (SELECT sid FROM live_sessions WHERE uid = ?1 AND expires_at > ?2)"
            ),
            uid,
            now
        ),
    ]
}

/// Revokes all sessions of all users. The last but one statement begins the new epoch.
pub(super) fn revoke_everyone(now: UnixTime) -> [Statement; 3] {
    [
        // Clocks differ a little from one request to another, so an epoch never begins before the
        // last one. A token that was issued in the very second of the epoch is not before it, so
        // its session is revoked by name. The statement reads every session, but runs once in an
        // emergency; the epoch itself changes no session.
        query!(
            concat!(
                "UPDATE sessions SET ",
                revoked!("?1"),
                "
                 WHERE revoked_at IS NULL AND last_seen_at >= (SELECT max(?1, max(began_at)) FROM epochs)"
            ),
            now
        ),
        query!(
            "INSERT INTO epochs (epoch, began_at) SELECT max(epoch) + 1, max(?1, max(began_at)) FROM epochs",
            now
        ),
        // Only the newest epoch is read.
        query!("DELETE FROM epochs WHERE epoch < (SELECT max(epoch) FROM epochs)"),
    ]
}

/// Blocks a user and revokes all sessions of the user. The first statement changes the user's row.
pub(super) fn block(uid: &Identifier, reason: &str, now: UnixTime) -> [Statement; 3] {
    let block = query!(
        "UPDATE users SET blocked_at = ?2, blocked_reason = ?3
         WHERE uid = ?1 AND erased_at IS NULL",
        uid,
        now,
        reason
    );
    let [user, sessions] = revoke_user(uid, now);
    [block, user, sessions]
}

/// Lets a user sign in again.
pub(super) fn unblock(uid: &Identifier) -> Statement {
    query!(
        "UPDATE users SET blocked_at = NULL, blocked_reason = NULL
         WHERE uid = ?1 AND erased_at IS NULL",
        uid
    )
}

/// Erases a user: see [`ERASED_BY`]. The reason of a block is a text about the user, so it goes as
/// well.
pub(super) fn erase_user(uid: &Identifier, limit: u32, now: UnixTime) -> Vec<Statement> {
    let mut statements = erase!("?1", limit, uid, now);
    statements.push(query!(
        "UPDATE users SET blocked_at = NULL, blocked_reason = NULL
         WHERE uid = ?1 AND blocked_at IS NOT NULL AND erased_at IS NOT NULL",
        uid
    ));
    statements
}

/// Whether the call failed because the database lacks the columns of blocked users.
fn lacks_blocks(error: &Error) -> bool {
    error.reason.contains("no such column: blocked_at")
}

/// The statement that creates or updates the user at a sign-in, unless one of the user's row `?1`
/// refuses it: a revocation since the session's time `?4`, or this further condition.
macro_rules! upsert_user {
    ($or_blocked:literal, $sign_in:expr, $session:expr) => {
        query!(
            concat!(
                "INSERT INTO users (uid, username, scopes, first_seen_at, last_seen_at, sign_ins,
                   counted, counted_since)
                 SELECT ?1, ?2, ?3, ?4, ?4, 1, 1, ?4
                 WHERE (SELECT max(began_at) FROM epochs) <= ?4
                   AND NOT EXISTS (SELECT 1 FROM users WHERE uid = ?1 AND (valid_after > ?4",
                $or_blocked,
                "))
                   AND NOT EXISTS (SELECT 1 FROM sessions WHERE sid = ?7)
                 ON CONFLICT (uid) DO UPDATE SET
                   scopes = excluded.scopes,
                   last_seen_at = max(last_seen_at, excluded.last_seen_at),
                   sign_ins = iif(erased_at IS NULL, sign_ins, 0) + 1,
                   erased_at = NULL,
                   counted = iif(counted_since > ?5, counted, 0) + 1,
                   counted_since = iif(counted_since > ?5, counted_since, ?4),
                   valid_after = iif(counted_since > ?5 AND counted >= ?6, ?4, valid_after),
                   revocation = iif(counted_since > ?5 AND counted >= ?6, ",
                number!("?4"),
                ", revocation)
                 RETURNING uid, scopes, first_seen_at, last_seen_at, sign_ins"
            ),
            $sign_in.uid,
            $sign_in.username,
            $sign_in.scopes.join(" "),
            $session.created_at,
            $session.created_at.minus(SIGN_INS_SECONDS),
            NAMED_OF_USER,
            $session.sid
        )
    };
}

/// The statements of a sign-in. The second one decides whether there is one; each of the next two,
/// and the count between them, changes a row exactly if the one before it has changed one.
fn open(
    sign_in: &SignIn,
    session: &Session,
    keep: u32,
    replaced: Option<&Identifier>,
    has_blocks: bool,
) -> Vec<Statement> {
    let now = session.created_at;
    vec![
            query!(
                "DELETE FROM sessions WHERE sid IN (
                   SELECT sid FROM sessions WHERE uid = ?1 AND revoked_at IS NULL AND expires_at <= ?2
                   UNION ALL
                   SELECT sid FROM sessions WHERE uid = ?1 AND revoked_at <= ?3
                   LIMIT ?4)",
                session.uid,
                now.minus(KEPT_SECONDS),
                now.minus(SIGN_INS_SECONDS),
                SWEEP_LIMIT
            ),
            // The session's token is signed already, and sessions may have been revoked since. The
            // new session must not begin in the time of the revoked ones. A sign-in that is
            // repeated changes nothing.
            if has_blocks {
                upsert_user!(" OR blocked_at IS NOT NULL", sign_in, session)
            } else {
                upsert_user!("", sign_in, session)
            },
            query!(
                "INSERT INTO sessions (sid, uid, created_at, last_seen_at, token_expires_at,
                   tokens_expire_at, expires_at, app_id, user_agent, country, epoch, thumbprint)
                 SELECT ?1, ?2, ?3, ?3, ?4, ?4, ?5, ?6, ?7, ?8, (SELECT max(epoch) FROM epochs), ?9
                 WHERE changes() = 1",
                session.sid,
                session.uid,
                now,
                session.token_expires_at,
                session.expires_at,
                session.app_id,
                session.device.user_agent,
                session.device.country,
                session.thumbprint
            ),
            // Both columns have an index. Named in the statement above, they would cost two rows
            // of it at every sign-in. An erased user was first seen at 0.
            query!(
                "UPDATE users SET username = ?2, first_seen_at = iif(first_seen_at = 0, ?3, first_seen_at)
                 WHERE uid = ?1 AND changes() = 1 AND (username IS NOT ?2 OR first_seen_at = 0)",
                session.uid,
                sign_in.username,
                now
            ),
            query!(
                // What a user's time covers is not named.
                concat!(
                    "UPDATE sessions SET revoked_at = ?2, expires_at = tokens_expire_at,
                   revocation = iif(last_seen_at >= coalesce(
                     (SELECT valid_after FROM users WHERE users.uid = sessions.uid), 0), ",
                    number!("?2"),
                    ", NULL)
                 WHERE EXISTS (SELECT 1 FROM sessions WHERE sid = ?3 AND created_at = ?2) AND sid IN (
                   SELECT sid FROM live_sessions WHERE sid = ?5 AND expires_at > ?2
                   UNION ALL
                   SELECT sid FROM (
                     SELECT sid FROM live_sessions WHERE uid = ?1 AND expires_at > ?2 AND sid IS NOT ?5
                     ORDER BY sid = ?3 DESC, created_at DESC, sid LIMIT -1 OFFSET ?4))"
                ),
                session.uid,
                now,
                session.sid,
                keep,
                replaced
            ),
    ]
}

/// A sign-in is counted right after the statement that begins its session, the third of [`open`].
const COUNTED_AFTER: usize = 3;

/// Reads the user of a live session, for [`user`].
pub(super) fn record_of(sid: &Identifier, now: UnixTime, with_data: bool) -> Statement {
    // The data can be large, so it is fetched only if the caller needs it.
    if with_data {
        query!(
            "SELECT uid, username, scopes, first_seen_at, users.last_seen_at, data, data_version
             FROM live_sessions JOIN users USING (uid)
             WHERE sid = ?1 AND expires_at > ?2",
            sid,
            now
        )
    } else {
        query!(
            "SELECT uid, username, scopes, first_seen_at, users.last_seen_at
             FROM live_sessions JOIN users USING (uid)
             WHERE sid = ?1 AND expires_at > ?2",
            sid,
            now
        )
    }
}

/// Reads a user, for [`user`].
pub(super) fn record_of_user(uid: &Identifier) -> Statement {
    query!(
        "SELECT uid, username, scopes, first_seen_at, last_seen_at, data, data_version
         FROM users WHERE uid = ?1 AND erased_at IS NULL",
        uid
    )
}

/// Reads the uid of a live session's user; no row if the session is not live.
pub(super) fn live(sid: &Identifier, now: UnixTime) -> Statement {
    query!("SELECT uid FROM live_sessions WHERE sid = ?1 AND expires_at > ?2", sid, now)
}

/// Spends the refresh token of a session without a key: of all requests with the token, only one
/// finds its count unchanged. A repeat that comes after the session token has expired renews the
/// times, and spends nothing. The second statement revokes the session if the token was spent too
/// long ago, or if its successor was spent as well: then two clients have it.
fn spend(
    token: &RefreshToken,
    value: Option<&Identifier>,
    lifetimes: &Lifetimes,
    now: UnixTime,
) -> [Statement; 2] {
    let (graced, raced) = (now.minus(GRACE_SECONDS), now.minus(RACE_SECONDS));
    [
        query!(
            "UPDATE sessions SET
               refreshes = ?2 + 1,
               last_seen_at = ?3,
               expires_at = min(?3 + ?4, created_at + ?5),
               token_expires_at = min(?3 + ?6, ?3 + ?4, created_at + ?5),
               tokens_expire_at = max(tokens_expire_at, min(?3 + ?6, ?3 + ?4, created_at + ?5)),
               spent_with = ?7
             WHERE sid = (SELECT sid FROM live_sessions WHERE sid = ?1 AND expires_at > ?3)
               AND created_at + ?5 > ?3 AND thumbprint IS NULL
               AND (refreshes = ?2 OR (refreshes = ?2 + 1 AND token_expires_at <= ?3
                 AND iif(?7 IS NULL AND spent_with IS NULL, last_seen_at >= ?8, spent_with IS ?7 OR last_seen_at >= ?9)))",
            token.sid,
            token.refreshes,
            now,
            lifetimes.idle,
            lifetimes.max,
            lifetimes.token,
            value,
            graced,
            raced
        ),
        query!(
            concat!("UPDATE sessions SET ", revoked!("?3"), "
             WHERE sid = (SELECT sid FROM live_sessions WHERE sid = ?1 AND expires_at > ?3)
               AND thumbprint IS NULL
               AND (refreshes > ?2 + 1
                 OR (refreshes = ?2 + 1 AND iif(?5 IS NULL AND spent_with IS NULL,
                   last_seen_at < ?4, last_seen_at < ?6 AND spent_with IS NOT ?5)))"),
            token.sid,
            token.refreshes,
            now,
            graced,
            value,
            raced
        ),
    ]
}

/// Refreshes a session whose key was proven, if the refresh token is its newest, or the session
/// token has expired. Otherwise records the proof. Ids of proofs are kept in two lists: the newer
/// list becomes the older one when it has grown for so long that no proof in the older one is fresh
/// any more.
fn prove(
    token: &RefreshToken,
    thumbprint: &Identifier,
    jti: &Identifier,
    lifetimes: &Lifetimes,
    now: UnixTime,
) -> [Statement; 2] {
    let (id, aged) = (format!(" {jti} "), now.minus(PROOFS_SECONDS));
    [
        query!(
            "UPDATE sessions SET
               refreshes = refreshes + 1,
               last_seen_at = ?3,
               expires_at = min(?3 + ?4, created_at + ?5),
               token_expires_at = min(?3 + ?6, ?3 + ?4, created_at + ?5),
               tokens_expire_at = max(tokens_expire_at, min(?3 + ?6, ?3 + ?4, created_at + ?5)),
               proofs = iif(proofs_since > ?9, proofs, '') || ?8,
               older_proofs = iif(proofs_since > ?9, older_proofs, proofs),
               proofs_since = iif(proofs_since > ?9, proofs_since, ?3)
             WHERE sid = (SELECT sid FROM live_sessions WHERE sid = ?1 AND expires_at > ?3)
               AND (refreshes = ?2 OR (refreshes > ?2 AND token_expires_at <= ?3))
               AND created_at + ?5 > ?3 AND thumbprint = ?7
               AND instr(coalesce(proofs, '') || coalesce(older_proofs, ''), ?8) = 0
               AND (length(coalesce(proofs, '')) < ?10 OR proofs_since <= ?9)",
            token.sid,
            token.refreshes,
            now,
            lifetimes.idle,
            lifetimes.max,
            lifetimes.token,
            thumbprint,
            id,
            aged,
            MAX_PROOFS
        ),
        query!(
            "UPDATE sessions SET
               proofs = iif(proofs_since > ?6, proofs, '') || ?5,
               older_proofs = iif(proofs_since > ?6, older_proofs, proofs),
               proofs_since = iif(proofs_since > ?6, proofs_since, ?3)
             WHERE sid = (SELECT sid FROM live_sessions WHERE sid = ?1 AND expires_at > ?3)
               AND refreshes > ?2 AND created_at + ?8 > ?3 AND thumbprint = ?4
               AND instr(coalesce(proofs, '') || coalesce(older_proofs, ''), ?5) = 0
               AND (length(coalesce(proofs, '')) < ?7 OR proofs_since <= ?6)",
            token.sid,
            token.refreshes,
            now,
            thumbprint,
            id,
            aged,
            MAX_PROOFS,
            lifetimes.max
        ),
    ]
}

/// The statements that remove the ids of erased users from up to `limit` rows of each table, and
/// then the users that no row refers to any more.
fn forget(limit: u32) -> [Statement; 4] {
    [
            query!(
                "UPDATE orders SET uid = NULL WHERE id IN (
                   SELECT id FROM users JOIN orders USING (uid) WHERE erased_at IS NOT NULL LIMIT ?1)",
                limit
            ),
            query!(
                "UPDATE payments SET uid = NULL WHERE id IN (
                   SELECT id FROM users JOIN payments USING (uid) WHERE erased_at IS NOT NULL LIMIT ?1)",
                limit
            ),
            query!(
                "UPDATE ads SET uid = NULL WHERE id IN (
                   SELECT id FROM users JOIN ads USING (uid) WHERE erased_at IS NOT NULL LIMIT ?1)",
                limit
            ),
            query!(
                "DELETE FROM users WHERE uid IN (
                   SELECT uid FROM users WHERE erased_at IS NOT NULL
                     AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.uid = users.uid)
                     AND NOT EXISTS (SELECT 1 FROM payments WHERE payments.uid = users.uid)
                     AND NOT EXISTS (SELECT 1 FROM ads WHERE ads.uid = users.uid)
                   LIMIT ?1)",
                limit
            ),
    ]
}

/// The characters of an id, in the order of their bytes.
const ALPHABET: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// The seconds from one scheduled run to the next (`crons` in wrangler.toml).
const RUN_SECONDS: u64 = 300;

/// 2^64 divided by the golden ratio.
const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
const _: () = assert!(ALPHABET.len() == 1 << (64 - 58));

/// The bounds of the ids that the run at this time reads: from the first, and below the second.
/// Each run reads the sessions with another first character, so all are read within fifteen hours,
/// although one run an hour makes numbers instead. Of a million sessions, a run reads 16,000. An
/// index by expiry would be written at each refresh.
fn part(now: UnixTime) -> [String; 2] {
    let run = u64::try_from(now.seconds()).unwrap_or(0) / RUN_SECONDS;
    // Multiples of the golden ratio come to every part, whatever the time between two runs is: a
    // deployment may have other `crons`.
    let run = usize::try_from(run.wrapping_mul(GOLDEN_RATIO) >> 58).unwrap_or(0);
    let first = |at: usize| ALPHABET.get(at).map(|&byte| char::from(byte).to_string());
    // A tilde comes after every id.
    [first(run), first(run + 1)].map(|bound| bound.unwrap_or_else(|| "~".to_owned()))
}

/// Whether a statement has changed as many rows as it may. Then there may be more.
fn is_any_full(outcomes: &[Outcome], limit: u32) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    outcomes.iter().any(|outcome| outcome.changes() >= limit)
}

pub(super) fn user(mut row: Row) -> Result<(User, Option<Data>), Error> {
    let data = match (row.take("data")?, row.take("data_version")?) {
        (Some(text), Some(version)) => Some(Data { text, version }),
        (None, None) => None,
        _ => return Err(failed("data and data_version disagree")),
    };
    let scopes: String = row.take("scopes")?;
    let user = User {
        uid: row.take("uid")?,
        username: row.take("username")?,
        scopes: scopes.split_ascii_whitespace().map(str::to_owned).collect(),
        first_seen_at: row.take("first_seen_at")?,
        last_seen_at: row.take("last_seen_at")?,
    };
    Ok((user, data))
}

pub(super) fn session(mut row: Row) -> Result<Session, Error> {
    Ok(Session {
        sid: row.take("sid")?,
        uid: row.take("uid")?,
        created_at: row.take("created_at")?,
        last_seen_at: row.take("last_seen_at")?,
        refreshes: row.take("refreshes")?,
        token_expires_at: row.take("token_expires_at")?,
        tokens_expire_at: row.take("tokens_expire_at")?,
        expires_at: row.take("expires_at")?,
        app_id: row.take("app_id")?,
        thumbprint: row.take("thumbprint")?,
        device: Device { user_agent: row.take("user_agent")?, country: row.take("country")? },
    })
}
