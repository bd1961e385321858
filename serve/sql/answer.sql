-- Keeps the answer to a request. $1 the client, $2 the key, $3 the cache keys, $4 the rows.
UPDATE tidelock.requests SET keys = $3, rows = $4 WHERE client = $1 AND key = $2
