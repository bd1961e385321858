-- Takes due records, $1 at most, of those that come after the place ($3, $4) of a walk from the record that is due latest to the one due earliest. Newest
-- first, so that what is older of the same key is met when that is settled, and goes unread. $5 is for how long they have been due at most, or null for
-- all: while a transaction keeps Postgres from clearing away what was deleted, each walk through everything meets all of that. claim.sql goes on with them.
WITH due AS MATERIALIZED (
    SELECT version, key, kind, allocate, octet_length(payload) AS size, due_at
    FROM tidelock.outbox
    WHERE aside IS NULL AND due_at <= least(now(), $3::timestamptz) AND (due_at, version) < ($3::timestamptz, $4::bigint)
      AND ($5::interval IS NULL OR due_at > now() - $5::interval)
      AND (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
    ORDER BY due_at DESC, version DESC
    LIMIT $1
    FOR UPDATE SKIP LOCKED
