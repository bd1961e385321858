-- Carries what is left in part $1 over to the one that new records go to, unless more is left than $2 records, or $3 bytes of payload. What somebody has locked is passed over. Whoever wants to
-- change or delete such a record at the same moment finds it gone, as if another had settled it, and looks again. It need not wait for the disk: a crash undoes all
-- of it or nothing.
WITH few AS MATERIALIZED (
    SELECT version, octet_length(payload) AS size FROM tidelock.outbox WHERE part = $1 LIMIT $2::bigint + 1
), mine AS MATERIALIZED (
    SELECT version FROM tidelock.outbox
    WHERE part = $1 AND (SELECT count(*) <= $2 AND coalesce(sum(size), 0) <= $3::bigint FROM few) AND version = ANY (ARRAY(SELECT version FROM few))
      AND (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
    FOR UPDATE SKIP LOCKED
), carried AS (
    DELETE FROM tidelock.outbox WHERE part = $1 AND version = ANY (ARRAY(SELECT version FROM mine)) RETURNING *
)
INSERT INTO tidelock.outbox (version, key, kind, payload, ttl_ms, allocate, created_at, due_at, attempts, aside, trace, again)
SELECT version, key, kind, payload, ttl_ms, allocate, created_at, due_at, attempts, aside, trace, again FROM carried
