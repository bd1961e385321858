-- Takes these records ($1, versions), due or not, unless a relay has them, and leases them for $2, as claim.sql does, which says why.
WITH named AS MATERIALIZED (
    SELECT version, key, kind, allocate, octet_length(payload) AS size
    FROM tidelock.outbox, (SELECT set_config('synchronous_commit', 'off', true)) hint
    WHERE version = ANY ($1) AND aside IS NULL AND (attempts = 0 OR due_at <= now())
    ORDER BY version
    FOR UPDATE OF outbox SKIP LOCKED
), judged AS MATERIALIZED (
    SELECT named.*, v.version IS DISTINCT FROM named.version AS superseded,
           NOT EXISTS (SELECT 1 FROM tidelock.outbox n WHERE n.version = v.version AND n.aside IS NULL) AS settled
    FROM named LEFT JOIN tidelock.versions v USING (key)
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
