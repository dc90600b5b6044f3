-- What is sold, who ordered it, and which payment of Pi's paid for it. Amounts are whole stroops: 10,000,000 to one Pi.

CREATE TABLE products (
  id             TEXT    PRIMARY KEY,  -- chosen by the app: 1 to 128 of A-Z a-z 0-9 _ -
  name           TEXT    NOT NULL,     -- what the payer reads
  amount_stroops INTEGER NOT NULL CHECK (amount_stroops BETWEEN 1 AND 9007199254740991), -- exact in JavaScript
  active         INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1))
) STRICT, WITHOUT ROWID;

-- An order is paid when its payment is: it has no state of its own.
CREATE TABLE orders (
  id             TEXT    PRIMARY KEY,
  uid            TEXT    REFERENCES users (uid) ON DELETE SET NULL,
  product_id     TEXT    NOT NULL,
  amount_stroops INTEGER NOT NULL,     -- the price of the moment
  memo           TEXT    NOT NULL,
  created_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX orders_by_user ON orders (uid);

CREATE TABLE payments (
  id             TEXT    PRIMARY KEY,  -- Pi's
  order_id       TEXT    REFERENCES orders (id),
  uid            TEXT    REFERENCES users (uid) ON DELETE SET NULL,
  amount_stroops INTEGER NOT NULL,
  state          TEXT    NOT NULL CHECK (state IN ('recorded', 'approved', 'paid', 'cancelled')),
  txid           TEXT    UNIQUE,       -- a transaction pays once
  created_at     INTEGER NOT NULL,     -- when it was first written down
  updated_at     INTEGER NOT NULL,     -- when it last moved, or was last looked after
  CHECK ((state = 'paid') = (txid IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX payments_by_user ON payments (uid);
-- One live payment for an order.
CREATE UNIQUE INDEX payments_live ON payments (order_id) WHERE state <> 'cancelled';
CREATE INDEX payments_unfinished ON payments (updated_at) WHERE state IN ('recorded', 'approved');

-- Rewarded ads, each granted once.
CREATE TABLE ads (
  id         TEXT    PRIMARY KEY,      -- Pi's
  uid        TEXT    REFERENCES users (uid) ON DELETE SET NULL,
  claimed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ads_by_user ON ads (uid);
