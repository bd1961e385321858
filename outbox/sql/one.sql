-- lock.sql and insert.sql in one statement for one key, together with the statement that its payload comes out of: first comes that one's row, then the
-- key's lock and version, then the record. lock.sql says why it is as it is.
-- It fails unless that statement gives one row: of none comes no version, of two the key would be written twice. It fails as well if a value has no
-- payload, or too long a one. That statement stands first, where none of the names given here can be seen.
-- $1 key, $2 kind, $3 the longest payload, $4 TTL in ms, $5 allocate, $6 the grace, $7 the generation of the strict prefixes, $8 how long to wait for a
-- lock at most, null as long as the session would. Between percent signs: what combine.go puts in.
WITH put (tidelock_payload) AS (
%statement%
), locked AS (
    INSERT INTO tidelock.versions AS v (key, version, xid)
    SELECT $1::text, nextval('tidelock.version_seq'), me.xid
    FROM (
        SELECT x.xid, concat(
            CASE WHEN current_setting('synchronous_commit') = 'off'
                 THEN set_config('synchronous_commit', 'on', true) END,
            CASE WHEN (SELECT last_value - 1 FROM tidelock.strict_generation WHERE x.xid IS NOT NULL) <> $7::bigint
                 THEN tidelock.strict_changed() END,
            CASE WHEN $8::text IS NOT NULL
                 THEN set_config('lock_timeout', $8::text, true) END) AS ready
        FROM (SELECT pg_current_xact_id() AS xid OFFSET 0) x OFFSET 0
    ) me, LATERAL (SELECT FROM put WHERE me.ready IS NOT NULL OFFSET 0) once_ready
    ON CONFLICT (key) DO UPDATE SET version = nextval('tidelock.version_seq'), xid = excluded.xid
    RETURNING version
)
INSERT INTO tidelock.outbox (version, key, kind, payload, ttl_ms, allocate, due_at)
VALUES ((SELECT version FROM locked), $1::text, $2::text,
        (SELECT CASE WHEN octet_length(payload) <= $3::integer THEN payload END FROM (SELECT %payload% AS payload FROM put) value),
        $4::bigint, $5::boolean, clock_timestamp() + $6::interval)
RETURNING version
