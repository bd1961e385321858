-- What record_all.sql writes: what it is given. $1 keys, $2 kinds, $3 payloads, $4 TTLs in ms, $5 allocate, $8 traces, null if there is none, and '' for a record without one.
WITH change AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::boolean[], $8::text[])
        AS c (key, kind, payload, ttl_ms, allocate, trace)
