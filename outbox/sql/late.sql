-- How many records still wait that came to each of the ages $1, in seconds, since $2, of those with a version above $3; the time by Postgres's clock, and the
-- highest version drawn.
SELECT now.at, (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tidelock.version_seq), ARRAY(
    SELECT (SELECT count(*) FROM tidelock.outbox o WHERE o.version > $3
                AND o.created_at <= now.at - make_interval(secs => a.age) AND o.created_at > $2::timestamptz - make_interval(secs => a.age))
    FROM unnest($1::float8[]) WITH ORDINALITY AS a (age, n) ORDER BY n)
FROM (SELECT clock_timestamp() AS at OFFSET 0) now
