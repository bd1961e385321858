-- The database is of another history than $3, the one of the guardian's row: commits may be lost whose versions the cache
-- has. All versions above safe_version are in doubt in every server; all versions, if $5 is given, a history that was
-- another database's. The sequence jumps past whatever the lost history may have drawn, so that none of it is newer than
-- what is drawn from now on. $1 the term, $2 the guardian, $4 where the new history began.
WITH office AS (
    SELECT history, CASE WHEN $5 = '' THEN safe_version ELSE 0 END AS safe_version FROM tidelock.guardian
    WHERE term = $1 AND holder = $2 AND history = $3 FOR UPDATE
), jump AS (
    SELECT setval('tidelock.version_seq', s.last_value + 4294967296) FROM tidelock.version_seq s, office
), past AS (
    INSERT INTO tidelock.histories (history, safe_version) SELECT history, safe_version FROM office UNION ALL SELECT $5, 0 FROM office WHERE $5 <> ''
), doubt AS (
    UPDATE tidelock.servers s SET drop_above = least(s.drop_above, office.safe_version), doubts = s.doubts + 1, looked_at = 0 FROM office
)
UPDATE tidelock.guardian g SET origin = $4, history = gen_random_uuid(), mark_version = g.safe_version, mark_xid = pg_current_xact_id()
FROM office, jump
