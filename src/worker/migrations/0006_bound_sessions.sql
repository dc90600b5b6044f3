-- Sessions whose refresh tokens work with one key only, and refreshes that are repeated because an answer was lost.

ALTER TABLE sessions ADD COLUMN thumbprint    TEXT;    -- of the key (RFC 7638); NULL when the client named none
ALTER TABLE sessions ADD COLUMN proofs        TEXT;    -- ids of proofs of the key, spaces around each
ALTER TABLE sessions ADD COLUMN proofs_since  INTEGER; -- when the first of them came
ALTER TABLE sessions ADD COLUMN older_proofs  TEXT;    -- ids of those before
ALTER TABLE sessions ADD COLUMN spent_with    TEXT;    -- Idempotency-Key with which the last refresh token was spent
