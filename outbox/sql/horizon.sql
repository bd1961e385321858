-- The horizon, the history that it is of, the lowest version that waits, and the servers on record, in one snapshot: every transaction with a lower xid
-- has ended and is settled. Of a key with several records the latest counts, for it settles the others; so the xid is
-- that of the key's row. Not above the guardian's mark, which is committed and flushed: after a crash Postgres gives out
-- again the xids of what was not.
SELECT h.xid::text::bigint, h.history, h.lowest, s.shard, s.run_id, s.repl_id, s.since, s.repair_from::text::bigint, s.drop_above, s.doubts,
       s.looked_at, s.repaired_at
FROM (
    SELECT g.history, (SELECT min(version) FROM tidelock.outbox WHERE aside IS NULL) AS lowest, least(pg_snapshot_xmin(pg_current_snapshot()), g.mark_xid,
                (SELECT min(v.xid) FROM tidelock.outbox o JOIN tidelock.versions v USING (key) WHERE o.aside IS NULL)) AS xid
    FROM tidelock.guardian g
) h LEFT JOIN tidelock.servers s ON true
ORDER BY s.shard
