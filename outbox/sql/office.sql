-- Takes the office of the guardian, or keeps it. $1 who, $2 for how long, $3 the highest version drawn, read before.
-- On the way safe_version rises: the mark is a version and a later xid, so whoever drew a version up to it has a lower
-- xid; once no lower xid runs, all of them have ended, and whoever has this row has what they committed. Not where the
-- database is of another history than the row says: there some of them were lost.
WITH here AS (
    SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) AS origin
), passed AS (
    SELECT g.one, g.origin IN ('', here.origin) AND g.mark_xid <= pg_snapshot_xmin(pg_current_snapshot()) AS yes, here.origin
    FROM tidelock.guardian g, here
)
UPDATE tidelock.guardian g SET
    term = CASE WHEN g.holder = $1 THEN g.term ELSE g.term + 1 END,
    holder = $1,
    until = clock_timestamp() + $2::interval,
    origin = CASE WHEN g.origin = '' THEN passed.origin ELSE g.origin END,
    safe_version = CASE WHEN passed.yes THEN greatest(g.safe_version, g.mark_version) ELSE g.safe_version END,
    mark_version = CASE WHEN passed.yes THEN $3 ELSE g.mark_version END,
    mark_xid = CASE WHEN passed.yes THEN pg_current_xact_id() ELSE g.mark_xid END
FROM passed
WHERE g.holder = $1 OR g.until < clock_timestamp()
RETURNING g.term, g.origin, passed.origin,
    g.name || '-' || (SELECT oid FROM pg_database WHERE datname = current_database()) -- a copy of a database is another one
