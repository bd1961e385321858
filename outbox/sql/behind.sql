-- The records that triggers have written for keys of this transaction, and whether the row was changed again after that. $1 the keys.
SELECT version, key, again FROM tidelock.outbox
WHERE version = ANY (ARRAY(SELECT v.version FROM tidelock.versions v WHERE v.key = ANY ($1) AND v.xid = pg_current_xact_id_if_assigned())) AND kind = 'invalidate'
