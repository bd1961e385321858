-- Puts a server on record, with what of its entries is in doubt, on top of what was in doubt before. $1 shard, $2 its run
-- id, $3 its replication id, $4 repair from, $5 drop above or null, $6 the term, $7 the guardian: nobody whose term is
-- over may do it, and the next one's term begins after.
INSERT INTO tidelock.servers AS s (shard, run_id, repl_id, repair_from, drop_above)
SELECT $1, $2, $3, $4::bigint::text::xid8, $5::bigint
FROM (SELECT 1 FROM tidelock.guardian WHERE term = $6 AND holder = $7 FOR SHARE) office
ON CONFLICT (shard) DO UPDATE SET run_id = excluded.run_id, repl_id = excluded.repl_id, since = clock_timestamp(),
    repair_from = least(s.repair_from, excluded.repair_from), drop_above = least(s.drop_above, excluded.drop_above),
    doubts = s.doubts + 1, looked_at = 0
