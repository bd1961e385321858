-- record.sql for one key, which needs no arrays, no order and no join. lock.sql says why it is as it is.
-- $1 key, $2 kind, $3 payload, $4 TTL in ms, $5 allocate, $6 the grace, $7 the generation of the strict prefixes, $8 the trace or empty.
WITH locked AS (
    INSERT INTO tidelock.versions AS v (key, version, xid)
    SELECT $1::text, nextval('tidelock.version_seq'), me.xid
    FROM (
        SELECT x.xid, concat(
            CASE WHEN current_setting('synchronous_commit') = 'off'
                 THEN set_config('synchronous_commit', 'on', true) END,
            CASE WHEN x.xid IS NOT NULL AND pg_sequence_last_value('tidelock.strict_generation') - 1 IS DISTINCT FROM $7::bigint
                 THEN tidelock.strict_changed() END) AS ready
        FROM (SELECT pg_current_xact_id() AS xid OFFSET 0) x OFFSET 0
    ) me
    WHERE me.ready IS NOT NULL
    ON CONFLICT (key) DO UPDATE SET version = nextval('tidelock.version_seq'), xid = excluded.xid
    RETURNING version
)
INSERT INTO tidelock.outbox (version, key, kind, payload, ttl_ms, allocate, due_at, trace)
SELECT version, $1::text, $2::text, $3::bytea, $4::bigint, $5::boolean, clock_timestamp() + $6::interval, nullif($8::text, '') FROM locked
RETURNING version
