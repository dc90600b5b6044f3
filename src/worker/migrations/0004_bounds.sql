-- What grows is bounded: erasing works in pieces, and a session says for which app it began.

-- When the user was erased: the row stays until no order, payment or ad refers to it.
ALTER TABLE users ADD COLUMN erased_at INTEGER;
CREATE INDEX users_erased ON users (erased_at) WHERE erased_at IS NOT NULL;

-- The app that Pi said the access token was made for. Earlier sessions do not say which it was, so with PI_APP_ID they end
-- at their next refresh. `app_bound` is no longer read or written; to drop it would rewrite every row.
ALTER TABLE sessions ADD COLUMN app_id TEXT;
DROP VIEW live_sessions;
CREATE VIEW live_sessions AS
  SELECT * FROM sessions
  WHERE revoked_at IS NULL AND epoch = (SELECT max(epoch) FROM epochs);

-- When the newest token of an erased session was issued; of those of before it is only known when it expires.
ALTER TABLE erased_sessions ADD COLUMN last_seen_at INTEGER NOT NULL DEFAULT 0;
UPDATE erased_sessions SET last_seen_at = tokens_expire_at;
