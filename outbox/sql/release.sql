-- Gives claimed records back. $1 their versions, $2 after how long they are due again.
UPDATE tidelock.outbox SET due_at = clock_timestamp() + $2::interval
FROM (SELECT set_config('synchronous_commit', 'off', true)) hint
WHERE version = ANY ($1) AND aside IS NULL
