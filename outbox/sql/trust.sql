-- Writes down whether the cache may be believed. $1 the phase, $2 the reason, $3 the term, $4 the guardian.
UPDATE tidelock.guardian SET trust = $1, trust_since = CASE WHEN trust = $1 THEN trust_since ELSE clock_timestamp() END, trust_reason = $2
WHERE term = $3 AND holder = $4
