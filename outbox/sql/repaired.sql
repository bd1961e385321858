-- A server's entries are good again, unless it is another one by now or more is in doubt. $1 shard, $2 run id,
-- $3 replication id, $4 repaired from, $5 dropped above or null, $6 the term, $7 the guardian.
UPDATE tidelock.servers SET repair_from = NULL, drop_above = NULL, repaired_at = clock_timestamp()
WHERE shard = $1 AND run_id = $2 AND repl_id = $3
  AND repair_from IS NOT DISTINCT FROM $4::bigint::text::xid8 AND drop_above IS NOT DISTINCT FROM $5::bigint
  AND EXISTS (SELECT 1 FROM tidelock.guardian WHERE term = $6 AND holder = $7)
