-- What operators see and do: the audit, blocked users, and indexes for the lists and the search.

-- A row for each thing that an operator or a backend did, or looked at, in the transaction of the deed.
CREATE TABLE audit (
  id         INTEGER PRIMARY KEY,     -- the order in which they happened
  at         INTEGER NOT NULL,
  actor      TEXT    NOT NULL,        -- the name in OPERATOR_CREDENTIALS or BACKEND_CREDENTIALS
  via        TEXT    NOT NULL CHECK (via IN ('console', 'cli', 'backend')),
  action     TEXT    NOT NULL,
  target     TEXT,                    -- the uid, sid, or id of the payment or product
  detail     TEXT,                    -- a JSON object: the reason of a block, the old and the new price
  request_id TEXT    NOT NULL         -- as in the log
) STRICT;
CREATE INDEX audit_by_actor ON audit (actor);
CREATE INDEX audit_by_action ON audit (action);
CREATE INDEX audit_by_target ON audit (target) WHERE target IS NOT NULL;
CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
  BEGIN SELECT raise(ABORT, 'an entry of the audit does not change'); END;
-- The scheduled run deletes entries after 400 days.
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit WHEN old.at > unixepoch() - 34560000
  BEGIN SELECT raise(ABORT, 'an entry of the audit is kept for 400 days'); END;

-- A blocked user cannot sign in.
ALTER TABLE users ADD COLUMN blocked_at     INTEGER;
ALTER TABLE users ADD COLUMN blocked_reason TEXT;
CREATE INDEX users_by_username ON users (username COLLATE NOCASE) WHERE username IS NOT NULL;
CREATE INDEX users_by_first_seen ON users (first_seen_at);

-- When Pi approved it; NULL for payments that were approved before this migration.
ALTER TABLE payments ADD COLUMN approved_at INTEGER;
CREATE INDEX payments_by_created ON payments (created_at);
CREATE INDEX payments_unfinished ON payments (created_at) WHERE state IN ('recorded', 'approved');
-- Also those with a transaction: a list of the cancelled ones reads no other row.
DROP INDEX payments_cancelled;
CREATE INDEX payments_cancelled ON payments (updated_at) WHERE state = 'cancelled';
