-- Of each of these keys its version, and whether something is still to be done for it: a record waits, or a server is being repaired.
SELECT key, version, key IN (SELECT o.key FROM tidelock.outbox o) OR
    EXISTS (SELECT 1 FROM tidelock.servers WHERE repair_from IS NOT NULL OR drop_above IS NOT NULL)
FROM tidelock.versions WHERE key = ANY ($1)
