-- Raises the floor as far as is safe and returns it: to a mark older than the longest TTL ($1) whose transactions have
-- all ended, but below every pending record, for a record is judged by its key's row.
UPDATE tidelock.floor SET version = greatest(version, least(
    (SELECT max(version) FROM tidelock.epochs
     WHERE at < clock_timestamp() - $1::interval AND xid <= pg_snapshot_xmin(pg_current_snapshot())),
    (SELECT min(version) - 1 FROM tidelock.outbox WHERE aside IS NULL)))
WHERE EXISTS (SELECT 1 FROM tidelock.epochs
              WHERE at < clock_timestamp() - $1::interval AND xid <= pg_snapshot_xmin(pg_current_snapshot()))
RETURNING version
