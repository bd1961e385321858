-- +goose Up
-- The tables whose changes are recorded by triggers, whoever makes them: psql, a migration, another service. prefix is what the keys of its rows begin with.
-- Everybody may read it: a writer has to know whether there is any (outbox/strict.go).
CREATE TABLE tidelock.attached (
    entity   text COLLATE "C" PRIMARY KEY,
    relation regclass NOT NULL,
    name     text NOT NULL, -- of the table, as it was attached
    prefix   text COLLATE "C" NOT NULL,
    since    timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT ON tidelock.attached TO PUBLIC;

-- A record that a trigger has written says so if its transaction has changed the row again after that.
ALTER TABLE tidelock.outbox ADD again boolean NOT NULL DEFAULT false;

-- Records that keys were changed by whom nobody asked: their values are to be loaded. It is the triggers' part of lock.sql and record.sql, which say why it
-- is as it is. A key whose latest record in this very transaction says so already gets no other. The records are due once they are committed. Each record is
-- looked up by an index, whatever Postgres believes of the size of its tables, and nobody else's is read, which a serializable transaction would have to answer for.
-- +goose StatementBegin
CREATE FUNCTION tidelock.record_behind(keys text[], ttl_ms bigint, allocate boolean) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    me xid8 := pg_current_xact_id();
    fresh text[];
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    WITH again AS (
        UPDATE tidelock.outbox o SET again = true
        WHERE o.version = ANY (ARRAY(SELECT v.version FROM tidelock.versions v WHERE v.key = ANY (keys) AND v.xid = me)) AND o.kind = 'invalidate'
        RETURNING o.key
    )
    SELECT ARRAY(SELECT k.key FROM unnest(keys) AS k (key) WHERE k.key COLLATE "C" NOT IN (SELECT again.key FROM again)) INTO fresh;
    WITH locked AS (
        INSERT INTO tidelock.versions AS v (key, version, xid)
        SELECT k.key, nextval('tidelock.version_seq'), me
        FROM unnest(fresh) AS k (key)
        ORDER BY k.key COLLATE "C"
        ON CONFLICT (key) DO UPDATE SET version = nextval('tidelock.version_seq'), xid = excluded.xid
        RETURNING key, version
    )
    INSERT INTO tidelock.outbox (version, key, kind, ttl_ms, allocate, due_at)
    SELECT version, key, 'invalidate', record_behind.ttl_ms, record_behind.allocate, clock_timestamp() FROM locked;
END $$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tidelock.record_behind FROM PUBLIC;

-- Takes away the records that triggers have written for these keys in this transaction, whose writer is about to write its own, and returns them.
-- +goose StatementBegin
CREATE FUNCTION tidelock.take_behind(keys text[]) RETURNS TABLE (key text, again boolean) LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY DELETE FROM tidelock.outbox o
        WHERE o.version = ANY (ARRAY(SELECT v.version FROM tidelock.versions v WHERE v.key = ANY (keys) AND v.xid = pg_current_xact_id_if_assigned()))
            AND o.kind = 'invalidate'
        RETURNING o.key, o.again;
END $$;
-- +goose StatementEnd

-- A strict write is acknowledged once every strict read sees it. Nobody waits for that on behalf of psql, so a key is strict, or of a table that is attached.
-- +goose StatementBegin
CREATE FUNCTION tidelock.strict_or_attached() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    other text;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'strict prefixes and attached tables are declared in READ COMMITTED: an older snapshot would not see the others';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('tidelock.strict_or_attached'));
    IF TG_TABLE_NAME = 'strict' THEN
        SELECT format('the entity %I is attached, and its keys begin with %L', entity, prefix) INTO other
        FROM tidelock.attached WHERE starts_with(prefix, NEW.prefix) OR starts_with(NEW.prefix, prefix);
    ELSE
        SELECT format('the prefix %L is declared strict', prefix) INTO other
        FROM tidelock.strict WHERE starts_with(prefix, NEW.prefix) OR starts_with(NEW.prefix, prefix);
    END IF;
    IF other IS NOT NULL THEN
        RAISE EXCEPTION '%', other USING ERRCODE = 'TL002';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER strict_or_attached BEFORE INSERT OR UPDATE OF prefix ON tidelock.attached FOR EACH ROW EXECUTE FUNCTION tidelock.strict_or_attached();
CREATE TRIGGER strict_or_attached BEFORE INSERT ON tidelock.strict FOR EACH ROW EXECUTE FUNCTION tidelock.strict_or_attached();

-- +goose Down
-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM tidelock.attached) THEN
        RAISE EXCEPTION 'there are attached tables, whose triggers would fail from now on: run "tidelock detach" for each that "tidelock attached" lists';
    END IF;
END $$;
-- +goose StatementEnd
DROP TRIGGER strict_or_attached ON tidelock.strict;
DROP TABLE tidelock.attached;
DROP FUNCTION tidelock.strict_or_attached(), tidelock.record_behind(text[], bigint, boolean), tidelock.take_behind(text[]);
ALTER TABLE tidelock.outbox DROP again;
