-- The highest version drawn so far.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tidelock.version_seq
