-- Where the horizon stood at the time $1 or before: null when that is not known.
SELECT (SELECT h.xid::text::bigint FROM tidelock.horizons h, tidelock.guardian g WHERE h.at <= $1 AND h.origin = g.origin ORDER BY h.at DESC LIMIT 1)
