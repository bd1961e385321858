-- The horizon, the history that it is of, the lowest version that waits, and the servers on record, in one snapshot: every transaction with a lower xid
-- has ended and is settled. Of a key with several records the latest counts, for it settles the others; so the xid is
-- that of the key's row. Not above the guardian's mark, which is committed and flushed: after a crash Postgres gives out
-- again the xids of what was not.
-- $1 and $2 are the history and the horizon that were read last, or empty and 0. What is settled stays so, hence nothing that waits has a lower xid than that; where
-- one of the hundred records with the lowest versions has it, it is still the least, and the others need not be looked at.
SELECT h.xid::text::bigint, h.history, h.lowest, s.shard, s.run_id, s.repl_id, s.since, s.repair_from::text::bigint, s.drop_above, s.doubts,
       s.looked_at, s.repaired_at
FROM (
    SELECT g.history, (SELECT min(version) FROM tidelock.outbox WHERE aside IS NULL) AS lowest, least(pg_snapshot_xmin(pg_current_snapshot()), g.mark_xid,
                CASE WHEN g.history = $1 AND first.xid = $2::bigint::text::xid8 THEN first.xid
                     ELSE (SELECT min(v.xid) FROM tidelock.outbox o JOIN tidelock.versions v USING (key) WHERE o.aside IS NULL) END) AS xid
    FROM tidelock.guardian g, (
        SELECT min(v.xid) AS xid
        FROM (SELECT key FROM tidelock.outbox WHERE aside IS NULL ORDER BY version LIMIT 100) f,
            LATERAL (SELECT xid FROM tidelock.versions WHERE key = f.key LIMIT 1) v
    ) first
) h LEFT JOIN tidelock.servers s ON true
ORDER BY s.shard
