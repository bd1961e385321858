-- Deletes records of which a newer version is committed. $1: their versions.
DELETE FROM tidelock.outbox WHERE version = ANY ($1)
