-- Remembers the horizon ($1) of the history $2, once a minute, and forgets what is older than $3.
WITH gone AS (DELETE FROM tidelock.horizons WHERE at < clock_timestamp() - $3::interval)
INSERT INTO tidelock.horizons (history, xid) SELECT $2, $1::bigint::text::xid8
WHERE NOT EXISTS (SELECT 1 FROM tidelock.horizons WHERE at > clock_timestamp() - interval '1 minute' AND history = $2)
