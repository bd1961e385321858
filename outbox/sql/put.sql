-- one.sql around the statement that changes the row and returns the payload, so that both take one round trip: <put> with its own parameters. The version is drawn
-- once it has been run, and so its row been locked. It fails with TL003 unless that has returned one row, with a payload within the limit.
-- <key> the key, <kind> the kind, <payload> the payload as bytea, <ttl> the TTL in ms, <allocate>, <grace> the grace, <generation> that of the strict prefixes,
-- <limit> the most bytes of a payload, <trace> the trace or ''.
WITH put (payload) AS (
{put}
), one AS MATERIALIZED (
    SELECT (array_agg({payload}))[1] AS payload FROM put
    HAVING CASE WHEN count(*) = 1 AND coalesce(max(octet_length({payload})), {least}) <= {limit}::int THEN true ELSE tidelock.look_at_put() END
), locked AS (
    INSERT INTO tidelock.versions AS v (key, version, xid)
    SELECT {key}::text, nextval('tidelock.version_seq'), me.xid
    FROM one, (
        SELECT x.xid, concat(
            CASE WHEN current_setting('synchronous_commit') = 'off'
                 THEN set_config('synchronous_commit', 'on', true) END,
            CASE WHEN (SELECT last_value - 1 FROM tidelock.strict_generation WHERE x.xid IS NOT NULL) <> {generation}::bigint
                 THEN tidelock.strict_changed() END) AS ready
        FROM (SELECT pg_current_xact_id() AS xid OFFSET 0) x OFFSET 0
    ) me
    WHERE me.ready IS NOT NULL
    ON CONFLICT (key) DO UPDATE SET version = nextval('tidelock.version_seq'), xid = excluded.xid
    RETURNING version
)
INSERT INTO tidelock.outbox (version, key, kind, payload, ttl_ms, allocate, due_at, trace)
SELECT version, {key}::text, {kind}, one.payload, {ttl}::bigint, {allocate}::boolean, clock_timestamp() + {grace}::interval, nullif({trace}::text, '') FROM locked, one
RETURNING version, payload
