-- The versions of these keys as they are before this transaction's own, the floor for a key that has none, under the locks that its record takes anyway. It
-- runs when the rows are locked: whoever has changed one of them has committed its version by then. $1 the keys.
WITH held AS MATERIALIZED (
    SELECT key, version FROM tidelock.versions WHERE key = ANY ($1) ORDER BY key COLLATE "C" FOR UPDATE
)
SELECT k.key, coalesce(held.version, floor.version), held.version IS NULL
FROM tidelock.floor, unnest($1::text[]) AS k (key) LEFT JOIN held ON held.key = k.key COLLATE "C"
