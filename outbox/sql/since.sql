-- Where the horizon stood at the time $1 or before: null when that is not known.
SELECT (SELECT h.xid::text::bigint FROM tidelock.horizons h JOIN tidelock.guardian g USING (history) WHERE h.at <= $1 ORDER BY h.at DESC LIMIT 1)
