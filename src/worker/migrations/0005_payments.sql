-- Orders and payments that nobody goes on with: looked at less and less often, given up, and deleted in the end.

-- When an order is deleted; NULL once a payment was recorded for it. Those before this migration wait for a day from their beginning.
ALTER TABLE orders ADD COLUMN delete_at INTEGER;
UPDATE orders SET delete_at = created_at + 86400
  WHERE NOT EXISTS (SELECT 1 FROM payments WHERE order_id = orders.id);
CREATE INDEX orders_open ON orders (uid, created_at) WHERE delete_at IS NOT NULL;
CREATE INDEX orders_by_end ON orders (delete_at) WHERE delete_at IS NOT NULL;

-- Made anew: SQLite cannot change the check of a table. No other table refers to this one.
CREATE TABLE payments_anew (
  id             TEXT    PRIMARY KEY,  -- Pi's
  order_id       TEXT    REFERENCES orders (id),
  uid            TEXT    REFERENCES users (uid) ON DELETE SET NULL,
  amount_stroops INTEGER NOT NULL,
  state          TEXT    NOT NULL CHECK (state IN ('recorded', 'approved', 'paid', 'cancelled')),
  txid           TEXT    UNIQUE,       -- a transaction pays once; without 'paid', one that a person must look at
  created_at     INTEGER NOT NULL,     -- when it was first written down
  updated_at     INTEGER NOT NULL,     -- when it last moved
  looks          INTEGER NOT NULL DEFAULT 0, -- how often the scheduled run has looked at it since then
  due_at         INTEGER,              -- when it looks again; NULL at its end, and when it was given up
  CHECK (state <> 'paid' OR txid IS NOT NULL),
  CHECK (due_at IS NULL OR state IN ('recorded', 'approved'))
) STRICT, WITHOUT ROWID;
INSERT INTO payments_anew (id, order_id, uid, amount_stroops, state, txid, created_at, updated_at, due_at)
  SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at,
    CASE WHEN state IN ('recorded', 'approved') THEN updated_at + 120 END
  FROM payments;
DROP TABLE payments;
ALTER TABLE payments_anew RENAME TO payments;
CREATE INDEX payments_by_user ON payments (uid, updated_at);
CREATE INDEX payments_by_order ON payments (order_id);
-- One live payment for an order.
CREATE UNIQUE INDEX payments_live ON payments (order_id) WHERE state <> 'cancelled';
CREATE INDEX payments_due ON payments (uid, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX payments_cancelled ON payments (updated_at) WHERE state = 'cancelled' AND txid IS NULL;

-- Whose payment the scheduled run looks at next. Users take turns, so that one with many payments does not delay the others.
CREATE TABLE turns (
  payer  TEXT    PRIMARY KEY,          -- the uid, or the id of an erased user's payment
  uid    TEXT    UNIQUE REFERENCES users (uid) ON DELETE CASCADE,
  due_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX turns_due ON turns (due_at);
INSERT INTO turns (payer, uid, due_at)
  SELECT uid, uid, min(due_at) FROM payments WHERE due_at IS NOT NULL AND uid IS NOT NULL GROUP BY uid;

CREATE INDEX ads_by_age ON ads (claimed_at);
