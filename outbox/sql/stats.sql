-- How much waits, how old the oldest is in seconds, how much was set aside.
SELECT count(*) FILTER (WHERE aside IS NULL),
       coalesce(extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE aside IS NULL)), 0)::float8,
       count(*) FILTER (WHERE aside IS NOT NULL)
FROM tidelock.outbox
