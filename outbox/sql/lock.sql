-- Takes the lock of each key and draws its next version. $1 the keys, $2 the generation of the strict prefixes that the writer goes by.
-- A row that exists draws its version after its lock is held. For a new row the version is drawn before, and the CTE
-- sees to it that the transaction has its xid by then: outbox prune counts on that. Sorted, so that two transactions
-- cannot lock each other out. Never with synchronous_commit off: a crash would take commits back whose versions the
-- cache has seen, and the sequence with them, and the cache would refuse what is written afterwards.
-- It fails if the strict prefixes are others by now. The xid is there before their generation is read, so whoever has overlooked a change has a lower
-- xid than those that are given out after it. A role that may not read it is refused, or gets a null, which is no generation.
WITH me AS MATERIALIZED (
    SELECT x.xid,
           CASE WHEN current_setting('synchronous_commit') = 'off'
                THEN set_config('synchronous_commit', 'on', true) END AS durable,
           CASE WHEN x.xid IS NOT NULL AND pg_sequence_last_value('tidelock.strict_generation') - 1 IS DISTINCT FROM $2::bigint
                THEN tidelock.strict_changed() END AS agreed
    FROM (SELECT pg_current_xact_id() AS xid OFFSET 0) x
)
INSERT INTO tidelock.versions AS v (key, version, xid)
SELECT k.key, nextval('tidelock.version_seq'), me.xid
FROM me, unnest($1::text[]) AS k (key)
ORDER BY k.key COLLATE "C"
ON CONFLICT (key) DO UPDATE SET version = nextval('tidelock.version_seq'), xid = excluded.xid
RETURNING key, version
