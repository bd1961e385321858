-- The records themselves; one whose key has a newer version comes without its payload. $1: their versions.
SELECT o.version, o.key, o.kind, CASE WHEN v.version = o.version THEN o.payload END, o.ttl_ms, o.allocate, o.attempts,
       v.version IS DISTINCT FROM o.version, coalesce(o.trace, '')
FROM tidelock.outbox o LEFT JOIN LATERAL (SELECT version FROM tidelock.versions WHERE key = o.key LIMIT 1) v ON true
WHERE o.version = ANY ($1) AND o.aside IS NULL
