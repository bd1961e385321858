-- The highest version drawn so far. It must be read before epoch.sql takes its xid.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tidelock.version_seq
