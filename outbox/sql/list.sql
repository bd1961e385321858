-- Records for people to look at, oldest first. $1 a key or null for all, $2 set aside (true) or pending (false),
-- null for both, $3 how many.
SELECT version, key, kind, coalesce(octet_length(payload), 0), created_at, due_at, attempts, coalesce(aside, '')
FROM tidelock.outbox
WHERE ($1::text IS NULL OR key = $1) AND ($2::boolean IS NULL OR (aside IS NOT NULL) = $2)
ORDER BY version
LIMIT $3
