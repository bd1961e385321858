-- +goose Up
-- The outbox is three parts. New records go to the part that this sequence says; outbox.Rotate goes on to the next when it has grown, and empties those behind it
-- at one stroke, where a vacuum has to wait for every transaction that began before a record died. A record may be in any part: nothing but that goes by it.
CREATE SEQUENCE tidelock.part AS smallint MINVALUE 0 MAXVALUE 2 START 0;
SELECT setval('tidelock.part', 0);
GRANT SELECT ON SEQUENCE tidelock.part TO PUBLIC;

ALTER TABLE tidelock.outbox RENAME TO outbox_0;
ALTER INDEX tidelock.outbox_due RENAME TO outbox_0_due_at_idx;
ALTER TABLE tidelock.outbox_0 DROP CONSTRAINT outbox_pkey, ADD part smallint NOT NULL DEFAULT 0, ADD PRIMARY KEY (version, part);

-- The default is a function in C that reads the sequence without a snapshot: a record is written in two microseconds, and a statement would double that.
CREATE TABLE tidelock.outbox (LIKE tidelock.outbox_0 INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY LIST (part);
ALTER TABLE tidelock.outbox ALTER part SET DEFAULT coalesce(pg_sequence_last_value('tidelock.part'), 0)::smallint, ADD PRIMARY KEY (version, part);
CREATE INDEX outbox_due ON tidelock.outbox (due_at) WHERE aside IS NULL;
ALTER TABLE tidelock.outbox ATTACH PARTITION tidelock.outbox_0 FOR VALUES IN (0);
CREATE TABLE tidelock.outbox_1 PARTITION OF tidelock.outbox FOR VALUES IN (1) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE tidelock.outbox_2 PARTITION OF tidelock.outbox FOR VALUES IN (2) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Whoever had the outbox, and could do something to it, has its parts and may do that. Relays need to empty a part and to go on to the next; they are told by what
-- they may do to the sequence of versions.
-- +goose StatementBegin
DO $$
DECLARE
    owner text := (SELECT relowner::regrole::text FROM pg_class WHERE oid = 'tidelock.outbox_0'::regclass);
    g record;
BEGIN
    EXECUTE format('ALTER TABLE tidelock.outbox OWNER TO %1$s; ALTER TABLE tidelock.outbox_1 OWNER TO %1$s; ALTER TABLE tidelock.outbox_2 OWNER TO %1$s;
        ALTER SEQUENCE tidelock.part OWNER TO %1$s', owner);
    FOR g IN
        SELECT a.privilege_type, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS role
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = 'tidelock.outbox_0'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT %s ON tidelock.outbox, tidelock.outbox_1, tidelock.outbox_2 TO %s', g.privilege_type, g.role);
    END LOOP;
    FOR g IN
        SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS role
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = 'tidelock.version_seq'::regclass AND a.grantee <> c.relowner AND a.privilege_type = 'UPDATE'
    LOOP
        EXECUTE format('GRANT UPDATE ON SEQUENCE tidelock.part TO %s', g.role);
        EXECUTE format('GRANT TRUNCATE ON tidelock.outbox_0, tidelock.outbox_1, tidelock.outbox_2 TO %s', g.role);
    END LOOP;
END $$;
-- +goose StatementEnd

-- The triggers' functions as they were (00008_attached.sql), but they leave the outbox alone where nothing of these keys is this transaction's: what they look for
-- in it is in any of the parts, and would keep all of them from being emptied until the transaction ends.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tidelock.record_behind(keys text[], ttl_ms bigint, allocate boolean) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    me xid8 := pg_current_xact_id();
    fresh text[] := keys;
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    IF EXISTS (SELECT 1 FROM tidelock.versions v WHERE v.key = ANY (keys) AND v.xid = me) THEN
        WITH again AS (
            UPDATE tidelock.outbox o SET again = true
            WHERE o.version = ANY (ARRAY(SELECT v.version FROM tidelock.versions v WHERE v.key = ANY (keys) AND v.xid = me)) AND o.kind = 'invalidate'
            RETURNING o.key
        )
        SELECT ARRAY(SELECT k.key FROM unnest(keys) AS k (key) WHERE k.key COLLATE "C" NOT IN (SELECT again.key FROM again)) INTO fresh;
    END IF;
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
CREATE OR REPLACE FUNCTION tidelock.take_behind(keys text[]) RETURNS TABLE (key text, again boolean) LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM tidelock.versions v WHERE v.key = ANY (keys) AND v.xid = pg_current_xact_id_if_assigned()) THEN
        RETURN QUERY DELETE FROM tidelock.outbox o
            WHERE o.version = ANY (ARRAY(SELECT v.version FROM tidelock.versions v WHERE v.key = ANY (keys) AND v.xid = pg_current_xact_id_if_assigned()))
                AND o.kind = 'invalidate'
            RETURNING o.key, o.again;
    END IF;
END $$;
-- +goose StatementEnd

-- +goose Down
ALTER TABLE tidelock.outbox DETACH PARTITION tidelock.outbox_0;
INSERT INTO tidelock.outbox_0 SELECT * FROM tidelock.outbox;
-- +goose StatementBegin
DO $$
DECLARE
    g record;
BEGIN
    FOR g IN
        SELECT a.privilege_type, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS role
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = 'tidelock.outbox'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT %s ON tidelock.outbox_0 TO %s', g.privilege_type, g.role);
    END LOOP;
END $$;
-- +goose StatementEnd
DROP TABLE tidelock.outbox;
ALTER TABLE tidelock.outbox_0 DROP COLUMN part; -- and with it the primary key
ALTER TABLE tidelock.outbox_0 ADD CONSTRAINT outbox_pkey PRIMARY KEY (version);
ALTER TABLE tidelock.outbox_0 RENAME TO outbox;
ALTER INDEX tidelock.outbox_0_due_at_idx RENAME TO outbox_due;
DROP SEQUENCE tidelock.part;
