-- Drops the marks that the floor ($1) has passed.
DELETE FROM tidelock.epochs WHERE version <= $1 AND at < clock_timestamp() - $2::interval
