-- The parts of the outbox: the number, whether new records go there, its size in bytes, and the same with the large payloads that are kept beside it.
SELECT p.part, p.part = s.last_value, pg_relation_size(r.oid), pg_table_size(r.oid)
FROM tidelock.part s, generate_series(0, 2) AS p (part), LATERAL (SELECT format('tidelock.outbox_%s', p.part)::regclass AS oid) r
ORDER BY 1
