-- Numbers for the operator: events by the hour and by the day, and what the scheduled run last did. docs/storage.md lists every name and label.

CREATE TABLE counts (
  hour  INTEGER NOT NULL,             -- the first second of the hour
  name  TEXT    NOT NULL,
  label TEXT    NOT NULL,
  n     INTEGER NOT NULL,             -- how many events
  total INTEGER NOT NULL DEFAULT 0,   -- the sum of their amounts, for events that have one
  PRIMARY KEY (hour, name, label)
) STRICT, WITHOUT ROWID;

CREATE TABLE days (
  day   INTEGER NOT NULL,             -- the first second of the day, UTC
  name  TEXT    NOT NULL,
  label TEXT    NOT NULL,
  n     INTEGER NOT NULL,
  total INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (day, name, label)
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
  name  TEXT    PRIMARY KEY,
  at    INTEGER NOT NULL,
  value TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- The code of the last failure when the scheduled run tried to settle the payment. `looks` counts the tries.
ALTER TABLE payments ADD COLUMN problem TEXT;
-- With the amount, so that counting paid orders reads no other row.
CREATE INDEX payments_paid ON payments (updated_at, amount_stroops) WHERE state = 'paid';

-- Only the newest epoch is read. From now on, a new one replaces the one before.
DELETE FROM epochs WHERE epoch < (SELECT max(epoch) FROM epochs);
