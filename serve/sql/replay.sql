-- The answer to a former request. own: the key's version is still the one that this request gave it. $1 the client, $2 the key.
SELECT r.fingerprint, r.rows,
       (SELECT array_agg(coalesce(v.version, floor.version) ORDER BY k.n) FROM unnest(r.keys) WITH ORDINALITY AS k (key, n) LEFT JOIN tidelock.versions v ON v.key = k.key COLLATE "C"),
       (SELECT array_agg(coalesce(v.xid = r.xid, false) ORDER BY k.n) FROM unnest(r.keys) WITH ORDINALITY AS k (key, n) LEFT JOIN tidelock.versions v ON v.key = k.key COLLATE "C")
FROM tidelock.requests r, tidelock.floor WHERE r.client = $1 AND r.key = $2
