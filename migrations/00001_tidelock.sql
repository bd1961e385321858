-- +goose Up
-- The versions of all keys, in one sequence. CACHE must stay 1: a session that caches numbers would hand them out late.
CREATE SEQUENCE tidelock.version_seq AS bigint CACHE 1;

-- One row a key: its latest version, and the transaction that gave it. The row's lock is what makes version order
-- commit order. No index but the key's, and room in the page, so that an update stays in its page (HOT).
CREATE TABLE tidelock.versions (
    key     text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    xid     xid8 NOT NULL
) WITH (fillfactor = 70);

-- One row a change that may not have reached the cache yet. due_at is when a relay may take it: after the writer's own
-- try, or after the lease of a relay that took it and did not come back.
CREATE TABLE tidelock.outbox (
    version    bigint PRIMARY KEY,
    key        text COLLATE "C" NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('set', 'absent', 'invalidate')),
    payload    bytea CHECK ((kind = 'set') = (payload IS NOT NULL)),
    ttl_ms     bigint NOT NULL CHECK (ttl_ms > 0),
    allocate   boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at     timestamptz NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    aside      text -- why the record was set aside, for the operator
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX outbox_due ON tidelock.outbox (due_at) WHERE aside IS NULL;

-- Marks in time: every transaction that drew a version up to this one has a lower xid than this.
CREATE TABLE tidelock.epochs (
    xid     xid8 PRIMARY KEY,
    version bigint NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The version that a load gives to a key without a row in versions: no row above it was ever pruned, and no
-- transaction that could still commit holds a version at or below it.
CREATE TABLE tidelock.floor (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint NOT NULL
);
INSERT INTO tidelock.floor (version) VALUES (0);

-- +goose Down
DROP TABLE tidelock.floor, tidelock.epochs, tidelock.outbox, tidelock.versions;
DROP SEQUENCE tidelock.version_seq;
