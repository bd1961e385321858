-- Forgets servers of shards that the cluster no longer has. $1 the shards it has, $2 the term, $3 the guardian.
DELETE FROM tidelock.servers WHERE shard <> ALL ($1) AND EXISTS (SELECT 1 FROM tidelock.guardian WHERE term = $2 AND holder = $3)
