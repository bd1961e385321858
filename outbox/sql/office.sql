-- Takes the office of the guardian, or keeps it. $1 who, $2 for how long (a minute at most), $3 the highest version drawn,
-- read before. An end that lies further ahead was written by another clock, before a failover.
-- On the way safe_version rises: the mark is a version and a later xid, so whoever drew a version up to it has a lower
-- xid; once no lower xid runs, all of them have ended, and whoever has this row has what they committed. Not where the
-- database is of another history than the row says: there some of them were lost.
-- Never with synchronous_commit off: the horizon counts on the mark's xid to be taken by nobody after a crash.
WITH here AS MATERIALIZED (
    SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) AS origin,
           pg_snapshot_xmin(pg_current_snapshot()) AS xmin,
           CASE WHEN current_setting('synchronous_commit') = 'off'
                THEN set_config('synchronous_commit', 'on', true) END AS durable
)
UPDATE tidelock.guardian g SET
    term = CASE WHEN g.holder = $1 THEN g.term ELSE g.term + 1 END,
    holder = $1,
    until = clock_timestamp() + $2::interval,
    lasts = $2::interval,
    former = CASE WHEN g.holder = $1 THEN g.former ELSE g.lasts END,
    origin = CASE WHEN g.origin = '' THEN here.origin ELSE g.origin END,
    safe_version = CASE WHEN g.origin IN ('', here.origin) AND g.mark_xid <= here.xmin THEN greatest(g.safe_version, g.mark_version) ELSE g.safe_version END,
    mark_version = CASE WHEN g.origin IN ('', here.origin) AND g.mark_xid <= here.xmin THEN $3 ELSE g.mark_version END,
    mark_xid = CASE WHEN g.origin IN ('', here.origin) AND g.mark_xid <= here.xmin THEN pg_current_xact_id() ELSE g.mark_xid END
FROM here
WHERE g.holder = $1 OR g.until < clock_timestamp() OR g.until > clock_timestamp() + interval '2 minutes'
RETURNING g.term, g.origin, here.origin, g.history, pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
    g.name || '-' || (SELECT oid FROM pg_database WHERE datname = current_database()), -- a copy of a database is another one
    (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tidelock.calls), g.former, g.trust_no
