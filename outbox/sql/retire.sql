-- Deletes records that are settled on the server that is on record: what was settled on another one, an old primary say,
-- may be lost, and its record stays. With no server on record any will do: the first to be put there is repaired whole.
-- It need not wait for the disk: what a crash takes back is settled once more.
-- $1 versions, $2 for each its key, for after a failover of Postgres a version may come again for another one, $3 the run id of the server that
-- said it. How many it has deleted it tells by age, in the classes between the bounds $4, in seconds; and how old those of a class were together.
WITH gone AS (
DELETE FROM tidelock.outbox o
USING unnest($1::bigint[], $2::text[], $3::text[]) AS r (version, key, server), (SELECT set_config('synchronous_commit', 'off', true)) hint
WHERE o.version = r.version AND o.key = r.key
  AND (r.server IN (SELECT run_id FROM tidelock.servers) OR NOT EXISTS (SELECT 1 FROM tidelock.servers))
RETURNING date_part('epoch', statement_timestamp() - o.created_at) AS age
)
SELECT width_bucket(age, $4::float8[]), count(*), sum(age) FROM gone GROUP BY 1
