-- Deletes the rows at or below the floor ($3) among the next $2 keys after $1. Returns the last key looked at, null when
-- there was none, and how many rows went. A row that is being written is looked at again once its writer has ended.
WITH page AS MATERIALIZED (
    SELECT key FROM tidelock.versions WHERE key > $1 ORDER BY key LIMIT $2
), gone AS (
    DELETE FROM tidelock.versions v USING page WHERE v.key = page.key AND v.version <= $3 RETURNING 1
)
SELECT (SELECT max(key) FROM page), (SELECT count(*) FROM gone)
