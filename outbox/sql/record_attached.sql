-- record.sql where tables are attached: the records that triggers have written for the same keys are taken away. What has changed again since the first of them was
-- written may not be what its payload says, and is invalidated.
WITH change AS MATERIALIZED (
    SELECT c.key, CASE WHEN b.again THEN 'invalidate' ELSE c.kind END AS kind, CASE WHEN b.again THEN NULL ELSE c.payload END AS payload, c.ttl_ms, c.allocate, c.trace
    FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::boolean[], $8::text[]) AS c (key, kind, payload, ttl_ms, allocate, trace)
    LEFT JOIN tidelock.take_behind($1::text[]) AS b ON b.key = c.key
