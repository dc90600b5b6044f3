-- Times are whole seconds since 1970, UTC.

CREATE TABLE users (
  uid           TEXT    PRIMARY KEY,  -- from Pi's /v2/me; the only key for a user
  username      TEXT,                 -- for display; NULL when its scope was not granted
  scopes        TEXT    NOT NULL,     -- space separated, as of the last sign-in
  first_seen_at INTEGER NOT NULL,
  last_seen_at  INTEGER NOT NULL,
  sign_ins      INTEGER NOT NULL,     -- how many times; 1 means that the user is new
  data          TEXT,                 -- the app's own JSON object for this user
  data_version  TEXT                  -- the entity tag of `data`
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
  sid        TEXT    PRIMARY KEY,
  uid        TEXT    NOT NULL REFERENCES users (uid) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER,                 -- NULL while the session lives
  user_agent TEXT,                    -- the browser that began it, in its own words
  country    TEXT                     -- ISO 3166-1 alpha-2, as Cloudflare saw it
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (uid);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
