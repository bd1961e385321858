-- Deletes the records that the triggers of an attached table have written for keys of this transaction, which is about to write its own. $1 the keys.
DELETE FROM tidelock.outbox o USING tidelock.versions v
WHERE v.key = ANY ($1) AND v.xid = pg_current_xact_id_if_assigned() AND o.version = v.version AND o.key = v.key AND o.kind = 'invalidate'
