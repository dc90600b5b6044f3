-- Revocations have numbers that rise in the order in which they happen, so the feed sends only new ones. A number is the time in milliseconds, or one more than the last number if that is higher.

ALTER TABLE sessions ADD COLUMN revocation INTEGER;        -- the number in the feed; NULL if the feed does not name the session
ALTER TABLE users ADD COLUMN revocation INTEGER;           -- the number of `valid_after`
ALTER TABLE erased_sessions ADD COLUMN revocation INTEGER; -- the number in the feed
UPDATE sessions SET revocation = revoked_at * 1000 WHERE revoked_at IS NOT NULL;
UPDATE users SET revocation = valid_after * 1000 WHERE valid_after IS NOT NULL;
UPDATE erased_sessions SET revocation = last_seen_at * 1000;

-- How many sign-ins there were since `counted_since`: a user with very many is named in the feed instead of each session.
ALTER TABLE users ADD COLUMN counted       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN counted_since INTEGER NOT NULL DEFAULT 0;

-- With the time, so that a sign-in reads no session that was revoked.
DROP INDEX sessions_by_user;
CREATE INDEX sessions_by_user ON sessions (uid, revoked_at);
-- Without it, a refresh writes one row instead of two. The scheduled run finds expired sessions by their ids, a part of them each time.
DROP INDEX sessions_by_expiry;
-- All columns that the feed needs: it reads no other row.
DROP INDEX sessions_ended;
CREATE INDEX sessions_revoked ON sessions (revocation, sid, last_seen_at, tokens_expire_at) WHERE revocation IS NOT NULL;
DROP INDEX users_ended;
CREATE INDEX users_revoked ON users (revocation) WHERE revocation IS NOT NULL;
CREATE INDEX erased_sessions_revoked ON erased_sessions (revocation, sid, last_seen_at, tokens_expire_at) WHERE revocation IS NOT NULL;

CREATE VIEW last_revocation AS
  SELECT max(
    coalesce((SELECT revocation FROM sessions WHERE revocation IS NOT NULL ORDER BY revocation DESC LIMIT 1), 0),
    coalesce((SELECT revocation FROM users WHERE revocation IS NOT NULL ORDER BY revocation DESC LIMIT 1), 0),
    coalesce((SELECT revocation FROM erased_sessions WHERE revocation IS NOT NULL ORDER BY revocation DESC LIMIT 1), 0)) AS number;

DROP VIEW live_sessions;
CREATE VIEW live_sessions AS
  SELECT * FROM sessions
  WHERE revoked_at IS NULL AND epoch = (SELECT max(epoch) FROM epochs);
