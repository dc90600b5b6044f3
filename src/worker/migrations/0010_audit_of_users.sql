-- The audit says of which user a session or a payment is, so everything about a user is found.

ALTER TABLE audit ADD COLUMN uid TEXT; -- NULL if the target is not a session or a payment, and in earlier entries
CREATE INDEX audit_by_uid ON audit (uid) WHERE uid IS NOT NULL;

-- Cancelled payments with a transaction: only a person can settle them.
CREATE INDEX payments_contradictory ON payments (updated_at) WHERE state = 'cancelled' AND txid IS NOT NULL;
