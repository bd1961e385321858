-- What becomes of the records that claim_due.sql or claim_named.sql has found: those that are their key's latest are leased for $2. Those whose
-- key has a newer version are deleted once that one is settled; until then they stay as they are, for they tell since when the key is not settled, and
-- that one is leased in their place, due or not: the latest of a key that is written all the time is never due before it is superseded.
-- But a key that is written all the time has at any time a latest that waits. What was due a second ago and has such a latest, which no relay
-- has had yet, is leased too, and settled by itself, without its value.
-- It need not wait for the disk: what a crash takes back is done again, and harmless.
-- Replies with the claims, and in a last row, without a key, with how many records were looked at, the place of the last of them, how many were deleted, and the
-- latest version that anybody has drawn.
-- No table is joined: whatever Postgres believes of the size of its tables, each row is looked up by an index.
), judged AS MATERIALIZED (
    SELECT due.*, (SELECT v.version FROM tidelock.versions v WHERE v.key = due.key LIMIT 1) AS latest FROM due
), waits AS MATERIALIZED (
    SELECT version, attempts = 0 AND due_at > now() AS fresh FROM tidelock.outbox
    WHERE version = ANY (ARRAY(SELECT DISTINCT latest FROM judged WHERE latest <> version)) AND aside IS NULL
), newer AS MATERIALIZED (
    SELECT version, key, kind, allocate, octet_length(payload) AS size FROM tidelock.outbox
    WHERE version = ANY (ARRAY(SELECT version FROM waits WHERE version NOT IN (SELECT version FROM judged)))
      AND aside IS NULL AND (attempts = 0 OR due_at <= now())
    FOR UPDATE SKIP LOCKED
), taken AS MATERIALIZED (
    SELECT version, key, kind, allocate, size FROM judged WHERE latest = version UNION ALL SELECT * FROM newer
    UNION ALL
    SELECT version, key, kind, false, size FROM judged
    WHERE due_at < now() - interval '1 s' AND latest <> version AND latest IN (SELECT version FROM waits WHERE fresh)
), retired AS (
    DELETE FROM tidelock.outbox WHERE version = ANY (ARRAY(
        SELECT version FROM judged WHERE latest IS DISTINCT FROM version
            AND (latest NOT IN (SELECT version FROM waits)) IS NOT FALSE))
    RETURNING version
), leased AS (
    UPDATE tidelock.outbox SET due_at = clock_timestamp() + $2::interval, attempts = attempts + 1
    WHERE version = ANY (ARRAY(SELECT version FROM taken))
)
SELECT version, key, allocate, kind = 'invalidate', coalesce(size, 0), NULL, 0, 0 FROM taken
UNION ALL
(SELECT version, NULL, false, false, (SELECT count(*) FROM judged), due_at, (SELECT count(*) FROM retired), (SELECT last_value FROM tidelock.version_seq) FROM judged ORDER BY due_at, version LIMIT 1)
