-- Keeps records out of the relays' way, for an operator to see. They count as settled from then on, so the same holds as for
-- retire.sql. $1 their versions, $2 for each its key, $3 the run id of the server that rejected it, $4 the reason.
UPDATE tidelock.outbox o SET aside = r.reason
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS r (version, key, server, reason)
WHERE o.version = r.version AND o.key = r.key
  AND (r.server IN (SELECT run_id FROM tidelock.servers) OR NOT EXISTS (SELECT 1 FROM tidelock.servers))
