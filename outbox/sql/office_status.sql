-- Who is the guardian, of which term, and whether the office is held at the moment.
SELECT term, holder, until > clock_timestamp(), origin FROM tidelock.guardian
