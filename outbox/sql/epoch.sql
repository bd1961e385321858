-- Marks that every version up to $1 was drawn by a transaction with a lower xid than this one's.
INSERT INTO tidelock.epochs (xid, version) VALUES (pg_current_xact_id(), $1)
