-- The next keys in order, with their versions: those after $1 whose latest change is of a transaction from $2 on. Of all such keys, the share $3 is taken that
-- $4 picks.
SELECT key, version FROM tidelock.versions
WHERE key > $1 AND xid >= $2::bigint::text::xid8 AND (hashtextextended(key, $4) & 65535) < $3::float8 * 65536
ORDER BY key LIMIT $5
