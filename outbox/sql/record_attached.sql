-- record.sql where tables are attached: the records that triggers have written for the same keys are taken away. What has changed again since the first of them was
-- written may not be what its payload says, and is invalidated. $1 to $8 as there.
WITH me AS MATERIALIZED (
    SELECT x.xid,
           CASE WHEN current_setting('synchronous_commit') = 'off'
                THEN set_config('synchronous_commit', 'on', true) END AS durable,
           CASE WHEN (SELECT last_value - 1 FROM tidelock.strict_generation WHERE x.xid IS NOT NULL) <> $7::bigint
                THEN tidelock.strict_changed() END AS agreed
    FROM (SELECT pg_current_xact_id() AS xid OFFSET 0) x
), change AS MATERIALIZED (
    SELECT c.key, CASE WHEN b.again THEN 'invalidate' ELSE c.kind END AS kind, CASE WHEN b.again THEN NULL ELSE c.payload END AS payload, c.ttl_ms, c.allocate, c.trace
    FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::boolean[], $8::text[]) AS c (key, kind, payload, ttl_ms, allocate, trace)
    LEFT JOIN tidelock.take_behind($1::text[]) AS b ON b.key = c.key
), locked AS (
    INSERT INTO tidelock.versions AS v (key, version, xid)
    SELECT change.key, nextval('tidelock.version_seq'), me.xid
    FROM me, change
    ORDER BY change.key COLLATE "C"
    ON CONFLICT (key) DO UPDATE SET version = nextval('tidelock.version_seq'), xid = excluded.xid
    RETURNING key, version
)
INSERT INTO tidelock.outbox (version, key, kind, payload, ttl_ms, allocate, due_at, trace)
SELECT locked.version, change.key, kind, payload, ttl_ms, allocate, clock_timestamp() + $6::interval, nullif(trace, '')
FROM locked JOIN change ON change.key = locked.key COLLATE "C"
RETURNING key, version, kind
