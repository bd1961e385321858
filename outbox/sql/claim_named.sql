-- Takes these records ($1, versions), due or not, unless a relay has them. claim.sql goes on with them.
WITH due AS MATERIALIZED (
    SELECT version, key, kind, allocate, octet_length(payload) AS size, due_at
    FROM tidelock.outbox
    WHERE version = ANY ($1) AND aside IS NULL AND (attempts = 0 OR due_at <= now())
      AND (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
    ORDER BY version
    FOR UPDATE SKIP LOCKED
