-- Keeps records out of the relays' way, for an operator to see. $1 their versions, $2 the reasons.
UPDATE tidelock.outbox o SET aside = r.reason
FROM unnest($1::bigint[], $2::text[]) AS r (version, reason)
WHERE o.version = r.version
