-- The servers on record.
SELECT shard, run_id, repl_id, since, repair_from::text::bigint, drop_above, doubts, looked_at, repaired_at
FROM tidelock.servers ORDER BY shard
