-- Payments with a transaction that are not paid: Pi says both that they are cancelled and that the user has paid, so only a person can settle them. The time is when the transaction was found.

CREATE INDEX payments_contradictory ON payments (updated_at) WHERE txid IS NOT NULL AND state <> 'paid';
