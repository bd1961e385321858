-- Takes due records, $1 at most. claim.sql goes on with them.
WITH due AS MATERIALIZED (
    SELECT version, key, kind, allocate, octet_length(payload) AS size
    FROM tidelock.outbox, (SELECT set_config('synchronous_commit', 'off', true)) hint
    WHERE due_at <= now() AND aside IS NULL
    ORDER BY due_at
    LIMIT $1
    FOR UPDATE OF outbox SKIP LOCKED
