-- The version that a load of each key may bear: its latest, or the floor where the key has no row. It is read before
-- the row, so the row is at least as new as its label. The format is that in which entries are written.
-- $1: the keys.
SELECT k.key, coalesce(v.version, floor.version), format.format
FROM tidelock.floor, tidelock.format, unnest($1::text[]) AS k (key) LEFT JOIN tidelock.versions v ON v.key = k.key COLLATE "C"
