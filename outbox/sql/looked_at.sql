-- How many keys the repair has looked at, for whoever watches. $1 shard, $2 run id, $3 the number.
UPDATE tidelock.servers SET looked_at = $3 WHERE shard = $1 AND run_id = $2
