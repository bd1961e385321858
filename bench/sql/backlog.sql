-- Leaves the outbox as writers leave it that could not reach the cache for long: $1 records, due since they were written, over $2 keys. $3 ends the payload of each.
-- They are in one part, for relays let a backlog grow where it is.
WITH r AS MATERIALIZED (
    SELECT nextval('tidelock.version_seq') AS version, 'backlog:' || g % $2 AS key, g FROM generate_series(1, $1::bigint) g
), v AS (
    INSERT INTO tidelock.versions (key, version, xid) SELECT key, max(version), pg_current_xact_id() FROM r GROUP BY key
    ON CONFLICT (key) DO UPDATE SET version = excluded.version, xid = excluded.xid
)
INSERT INTO tidelock.outbox (part, version, key, kind, payload, ttl_ms, allocate, due_at)
SELECT (SELECT last_value FROM tidelock.part), version, key, 'set', convert_to(left(version || ':' || $3::text, length($3::text)), 'UTF8'), 3600000, true, clock_timestamp() FROM r
