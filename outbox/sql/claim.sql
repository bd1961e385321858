-- What becomes of the records that claim_due.sql or claim_named.sql has found: those that are their key's latest are leased for $2. Those whose
-- key has a newer version are deleted once that one is settled; until then they are put off, for they tell since when the key is not settled.
-- It need not wait for the disk: what a crash takes back is done again, and harmless.
), judged AS MATERIALIZED (
    SELECT due.*, v.version IS DISTINCT FROM due.version AS superseded,
           NOT EXISTS (SELECT 1 FROM tidelock.outbox n WHERE n.version = v.version AND n.aside IS NULL) AS settled
    FROM due LEFT JOIN tidelock.versions v USING (key)
), retired AS (
    DELETE FROM tidelock.outbox o USING judged WHERE o.version = judged.version AND judged.superseded AND judged.settled
), leased AS (
    UPDATE tidelock.outbox o SET due_at = clock_timestamp() + $2::interval, attempts = o.attempts + 1
    FROM judged WHERE o.version = judged.version AND NOT judged.superseded
), put_off AS (
    UPDATE tidelock.outbox o SET due_at = clock_timestamp() + interval '500 ms', attempts = o.attempts + 1
    FROM judged WHERE o.version = judged.version AND judged.superseded AND NOT judged.settled
)
SELECT version, key, allocate AND kind <> 'invalidate', coalesce(size, 0), superseded FROM judged
