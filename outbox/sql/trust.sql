-- Writes down whether the cache may be believed. $1 the phase, $2 the reason, $3 the term, $4 the guardian, $5 the statement's number.
UPDATE tidelock.guardian SET trust = $1, trust_since = CASE WHEN trust = $1 THEN trust_since ELSE clock_timestamp() END, trust_reason = $2,
    trust_no = $5, suspensions = suspensions + ($1 = 'suspended')::int
WHERE term = $3 AND holder = $4 AND trust_no < $5
