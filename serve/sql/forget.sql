-- Forgets some requests that are older than $1.
DELETE FROM tidelock.requests WHERE (client, key) IN (
    SELECT client, key FROM tidelock.requests WHERE at < clock_timestamp() - $1::interval ORDER BY at LIMIT 1000 FOR UPDATE SKIP LOCKED)
