-- Deletes the rows at or below the floor ($3) among the next $2 keys after $1. Returns the last key looked at, null when
-- there was none, and how many rows went. A row that is being written is passed over: it is not old, and to wait for its
-- writer, who may wait for another of these rows, would be a deadlock.
WITH page AS MATERIALIZED (
    SELECT key FROM tidelock.versions WHERE key > $1 ORDER BY key LIMIT $2
), old AS MATERIALIZED (
    SELECT v.key FROM tidelock.versions v JOIN page USING (key) WHERE v.version <= $3 FOR UPDATE OF v SKIP LOCKED
), gone AS (
    DELETE FROM tidelock.versions v USING old WHERE v.key = old.key AND v.version <= $3 RETURNING 1
)
SELECT (SELECT max(key) FROM page), (SELECT count(*) FROM gone)
