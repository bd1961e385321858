-- Which of these versions Postgres has lost: it knows of no change of the key that is as new. Of a row that was pruned the
-- floor speaks. $1 keys, $2 versions.
SELECT r.key, r.version
FROM unnest($1::text[], $2::bigint[]) AS r (key, version)
LEFT JOIN tidelock.versions v ON v.key = r.key COLLATE "C"
WHERE coalesce(v.version, (SELECT version FROM tidelock.floor)) < r.version
