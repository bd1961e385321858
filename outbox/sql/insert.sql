-- Writes the records of keys that are locked already. $1 versions, $2 keys, $3 kinds, $4 payloads, $5 TTLs in ms,
-- $6 allocate, $7 the grace.
INSERT INTO tidelock.outbox (version, key, kind, payload, ttl_ms, allocate, due_at)
SELECT r.*, clock_timestamp() + $7::interval
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::boolean[]) AS r
