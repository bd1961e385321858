-- Deletes records that are settled. $1: their versions.
DELETE FROM tidelock.outbox WHERE version = ANY ($1)
