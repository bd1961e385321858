-- lock.sql and insert.sql in one statement: locks each key, draws its version, writes its record, as record.sql or record_attached.sql have begun. $6 the grace,
-- $7 the generation of the strict prefixes. lock.sql says why it is as it is.
), me AS MATERIALIZED (
    SELECT x.xid,
           CASE WHEN current_setting('synchronous_commit') = 'off'
                THEN set_config('synchronous_commit', 'on', true) END AS durable,
           CASE WHEN x.xid IS NOT NULL AND pg_sequence_last_value('tidelock.strict_generation') - 1 IS DISTINCT FROM $7::bigint
                THEN tidelock.strict_changed() END AS agreed
    FROM (SELECT pg_current_xact_id() AS xid OFFSET 0) x
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
