-- Who is the guardian, of which term, and whether the office is held at the moment.
SELECT term, holder, until > clock_timestamp(), origin, history,
    name || '-' || (SELECT oid FROM pg_database WHERE datname = current_database())
FROM tidelock.guardian
