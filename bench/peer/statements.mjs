// The SQL for a sign-in and a session check, equal to the Worker's in src/worker/d1/session.rs and
// counts.rs. The benchmark stops if they differ.

/** The number of a revocation at the time of this parameter. */
const number = (now) => `max(${now} * 1000, (SELECT number FROM last_revocation) + 1)`;

export const UPSERT_USER = `
  INSERT INTO users (uid, username, scopes, first_seen_at, last_seen_at, sign_ins,
    counted, counted_since)
  SELECT ?1, ?2, ?3, ?4, ?4, 1, 1, ?4
  WHERE (SELECT max(began_at) FROM epochs) <= ?4
    AND NOT EXISTS (SELECT 1 FROM users WHERE uid = ?1 AND (valid_after > ?4 OR blocked_at IS NOT NULL))
    AND NOT EXISTS (SELECT 1 FROM sessions WHERE sid = ?7)
  ON CONFLICT (uid) DO UPDATE SET
    scopes = excluded.scopes,
    last_seen_at = max(last_seen_at, excluded.last_seen_at),
    sign_ins = iif(erased_at IS NULL, sign_ins, 0) + 1,
    erased_at = NULL,
    counted = iif(counted_since > ?5, counted, 0) + 1,
    counted_since = iif(counted_since > ?5, counted_since, ?4),
    valid_after = iif(counted_since > ?5 AND counted >= ?6, ?4, valid_after),
    revocation = iif(counted_since > ?5 AND counted >= ?6, ${number("?4")}, revocation)
  RETURNING uid, scopes, first_seen_at, last_seen_at, sign_ins`;

export const SWEEP = `
  DELETE FROM sessions WHERE sid IN (
    SELECT sid FROM sessions WHERE uid = ?1 AND revoked_at IS NULL AND expires_at <= ?2
    UNION ALL
    SELECT sid FROM sessions WHERE uid = ?1 AND revoked_at <= ?3
    LIMIT ?4)`;

export const INSERT_SESSION = `
  INSERT INTO sessions (sid, uid, created_at, last_seen_at, token_expires_at,
    tokens_expire_at, expires_at, app_id, user_agent, country, epoch, thumbprint)
  SELECT ?1, ?2, ?3, ?3, ?4, ?4, ?5, ?6, ?7, ?8, (SELECT max(epoch) FROM epochs), ?9
  WHERE changes() = 1`;

export const COUNT_SIGN_IN = `
  INSERT INTO counts (hour, name, label, n)
  SELECT ?2, 'sign_in', iif(sign_ins = 1, 'new', 'returning'), 1
  FROM users WHERE uid = ?1 AND changes() = 1
  ON CONFLICT (hour, name, label) DO UPDATE SET n = n + 1`;

export const NAME_USER = `
  UPDATE users SET username = ?2, first_seen_at = iif(first_seen_at = 0, ?3, first_seen_at)
  WHERE uid = ?1 AND changes() = 1 AND (username IS NOT ?2 OR first_seen_at = 0)`;

export const LIMIT_SESSIONS = `
  UPDATE sessions SET revoked_at = ?2, expires_at = tokens_expire_at,
    revocation = iif(last_seen_at >= coalesce(
      (SELECT valid_after FROM users WHERE users.uid = sessions.uid), 0), ${number("?2")}, NULL)
  WHERE EXISTS (SELECT 1 FROM sessions WHERE sid = ?3 AND created_at = ?2) AND sid IN (
    SELECT sid FROM live_sessions WHERE sid = ?5 AND expires_at > ?2
    UNION ALL
    SELECT sid FROM (
      SELECT sid FROM live_sessions WHERE uid = ?1 AND expires_at > ?2 AND sid IS NOT ?5
      ORDER BY sid = ?3 DESC, created_at DESC, sid LIMIT -1 OFFSET ?4))`;

export const LIVE_USER = `
  SELECT uid, username, scopes, first_seen_at, users.last_seen_at
  FROM live_sessions JOIN users USING (uid)
  WHERE sid = ?1 AND expires_at > ?2`;
