-- Sessions that are refreshed, and that are known everywhere to have ended.

ALTER TABLE sessions ADD COLUMN last_seen_at     INTEGER NOT NULL DEFAULT 0; -- when it last got a session token
ALTER TABLE sessions ADD COLUMN refreshes        INTEGER NOT NULL DEFAULT 0; -- how often it was refreshed
ALTER TABLE sessions ADD COLUMN token_expires_at INTEGER NOT NULL DEFAULT 0; -- when its newest session token expires
ALTER TABLE sessions ADD COLUMN tokens_expire_at INTEGER NOT NULL DEFAULT 0; -- when the last of its session tokens expires
ALTER TABLE sessions ADD COLUMN app_bound        INTEGER NOT NULL DEFAULT 0; -- 1 when Pi named this app at the sign-in
ALTER TABLE sessions ADD COLUMN epoch            INTEGER NOT NULL DEFAULT 0; -- the epoch in which it began
UPDATE sessions SET last_seen_at = created_at, token_expires_at = expires_at, tokens_expire_at = expires_at;

-- When all sessions of a user were last ended.
ALTER TABLE users ADD COLUMN valid_after INTEGER;

-- Each ends all sessions of the ones before.
CREATE TABLE epochs (
  epoch    INTEGER PRIMARY KEY,
  began_at INTEGER NOT NULL
) STRICT;
INSERT INTO epochs (epoch, began_at) VALUES (0, 0);

-- Sessions whose user was erased, until their tokens have expired. Nothing here says whose they were.
CREATE TABLE erased_sessions (
  sid              TEXT    PRIMARY KEY,
  tokens_expire_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Live until `expires_at`.
CREATE VIEW live_sessions AS
  SELECT * FROM sessions
  WHERE revoked_at IS NULL AND epoch = (SELECT max(epoch) FROM epochs);

-- An ended session expires with its tokens, so these are few.
CREATE INDEX sessions_ended ON sessions (expires_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX users_ended ON users (valid_after) WHERE valid_after IS NOT NULL;
CREATE INDEX erased_sessions_by_expiry ON erased_sessions (tokens_expire_at);
