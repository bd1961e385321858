-- Writes the records of keys that are locked already. $1 versions, $2 keys, $3 kinds, $4 payloads, $5 TTLs in ms,
-- $6 allocate, $7 the grace, $8 traces as in record.sql.
INSERT INTO tidelock.outbox (version, key, kind, payload, ttl_ms, allocate, due_at, trace)
SELECT version, key, kind, payload, ttl_ms, allocate, clock_timestamp() + $7::interval, nullif(trace, '')
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::boolean[], $8::text[])
    AS r (version, key, kind, payload, ttl_ms, allocate, trace)
