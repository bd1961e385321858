-- The horizon, and the servers on record, in one snapshot: every transaction with a lower xid has ended and is settled.
-- Of a key with several records the latest counts, for it settles the others; so the xid is that of the key's row.
SELECT h.xid::text::bigint, s.shard, s.run_id, s.repl_id, s.since, s.repair_from::text::bigint, s.drop_above, s.looked_at, s.repaired_at
FROM (
    SELECT least(pg_snapshot_xmin(pg_current_snapshot()),
                 (SELECT min(v.xid) FROM tidelock.outbox o JOIN tidelock.versions v USING (key) WHERE o.aside IS NULL)) AS xid
) h LEFT JOIN tidelock.servers s ON true
ORDER BY s.shard
