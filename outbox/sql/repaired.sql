-- A server's entries are good again, unless it is another one by now or more has come to be in doubt. $1 shard, $2 run id,
-- $3 the number of the doubt.
UPDATE tidelock.servers SET repair_from = NULL, drop_above = NULL, repaired_at = clock_timestamp()
WHERE shard = $1 AND run_id = $2 AND doubts = $3
