-- What becomes of the records that claim_due.sql or claim_named.sql has found: those that are their key's latest are leased for $2. Those whose
-- key has a newer version are deleted once that one is settled; until then they stay as they are, for they tell since when the key is not settled.
-- It need not wait for the disk: what a crash takes back is done again, and harmless.
-- Replies with the claims, and in a last row, without a key, with how many records were looked at, and with the place of the last of them.
-- No table is joined: whatever Postgres believes of the size of its tables, each row is looked up by an index.
), judged AS MATERIALIZED (
    SELECT due.*, (SELECT v.version FROM tidelock.versions v WHERE v.key = due.key LIMIT 1) AS latest FROM due
), retired AS (
    DELETE FROM tidelock.outbox WHERE version = ANY (ARRAY(
        SELECT version FROM judged WHERE latest IS DISTINCT FROM version
            AND (SELECT 1 FROM tidelock.outbox n WHERE n.version = latest AND n.aside IS NULL LIMIT 1) IS NULL))
), leased AS (
    UPDATE tidelock.outbox SET due_at = clock_timestamp() + $2::interval, attempts = attempts + 1
    WHERE version = ANY (ARRAY(SELECT version FROM judged WHERE latest = version))
)
SELECT version, key, allocate AND kind <> 'invalidate', coalesce(size, 0), NULL FROM judged WHERE latest = version
UNION ALL
(SELECT version, NULL, false, (SELECT count(*) FROM judged), due_at FROM judged ORDER BY due_at, version LIMIT 1)
