-- Deletes records of which a newer version is committed. $1: their versions.
DELETE FROM tidelock.outbox
USING (SELECT set_config('synchronous_commit', 'off', true)) hint
WHERE version = ANY ($1)
