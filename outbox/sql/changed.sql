-- The keys whose latest change is of a transaction from $1 on.
SELECT key, version FROM tidelock.versions WHERE xid >= $1::bigint::text::xid8
