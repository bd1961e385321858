-- The database is of another history ($3) than the guardian's row says: commits may be lost whose versions the cache has.
-- All versions above safe_version are in doubt in every server. The sequence jumps past whatever the lost history may have
-- drawn, so that none of it is newer than what is drawn from now on. $1 the term, $2 the guardian.
WITH office AS (
    SELECT origin, safe_version FROM tidelock.guardian WHERE term = $1 AND holder = $2 AND origin <> $3 FOR UPDATE
), jump AS (
    SELECT setval('tidelock.version_seq', s.last_value + 4294967296) FROM tidelock.version_seq s, office
), past AS (
    INSERT INTO tidelock.origins (origin, safe_version) SELECT origin, safe_version FROM office
), doubt AS (
    UPDATE tidelock.servers s SET drop_above = least(s.drop_above, office.safe_version), looked_at = 0 FROM office
)
UPDATE tidelock.guardian g SET origin = $3, mark_version = g.safe_version, mark_xid = pg_current_xact_id()
FROM office, jump
