-- Takes an Idempotency-Key for this transaction, after whoever has it at the moment. $1 the client, $2 the key, $3 the fingerprint.
INSERT INTO tidelock.requests (client, key, fingerprint) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
