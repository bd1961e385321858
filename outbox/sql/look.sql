-- Of each of these keys its version, null for none, and whether something is still to be done for it: a record waits, or a server is being repaired.
SELECT k.key, v.version, k.key IN (SELECT o.key FROM tidelock.outbox o) OR
    EXISTS (SELECT 1 FROM tidelock.servers WHERE repair_from IS NOT NULL OR drop_above IS NOT NULL)
FROM unnest($1::text[]) AS k (key) LEFT JOIN tidelock.versions v ON v.key = k.key COLLATE "C"
