-- Takes these records ($1, versions), due or not, unless a relay has them: deletes those whose key has a newer version,
-- leases the others for $2. claim.sql says why without waiting for the disk.
WITH named AS MATERIALIZED (
    SELECT version, key, kind, allocate, octet_length(payload) AS size
    FROM tidelock.outbox, (SELECT set_config('synchronous_commit', 'off', true)) hint
    WHERE version = ANY ($1) AND aside IS NULL AND (attempts = 0 OR due_at <= now())
    ORDER BY version
    FOR UPDATE OF outbox SKIP LOCKED
), judged AS MATERIALIZED (
    SELECT named.*, v.version IS DISTINCT FROM named.version AS superseded
    FROM named LEFT JOIN tidelock.versions v USING (key)
), retired AS (
    DELETE FROM tidelock.outbox o USING judged WHERE o.version = judged.version AND judged.superseded
), leased AS (
    UPDATE tidelock.outbox o SET due_at = clock_timestamp() + $2::interval, attempts = o.attempts + 1
    FROM judged WHERE o.version = judged.version AND NOT judged.superseded
)
SELECT version, key, allocate AND kind <> 'invalidate', coalesce(size, 0), superseded FROM judged
