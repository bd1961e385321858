-- +goose Up
-- The office of the guardian: the one relay that watches which server the cache is, and which history the database is of.
-- origin is where that history began, the database's system identifier and timeline; a promotion of a standby begins
-- another one. history is its name.
-- Every transaction that drew a version up to safe_version had ended before the row said so, so a database that has the
-- row has what those committed; the mark is a version on its way to become that (outbox/sql/office.sql).
-- name tells the canaries of this database from those of others that share the cache.
CREATE TABLE tidelock.guardian (
    one          boolean PRIMARY KEY DEFAULT true CHECK (one),
    name         uuid NOT NULL DEFAULT gen_random_uuid(),
    term         bigint NOT NULL DEFAULT 0,
    holder       text NOT NULL DEFAULT '',
    until        timestamptz NOT NULL DEFAULT '-infinity',
    origin       text NOT NULL DEFAULT '',
    history      text NOT NULL DEFAULT gen_random_uuid(),
    mark_version bigint NOT NULL DEFAULT 0,
    mark_xid     xid8 NOT NULL DEFAULT '0',
    safe_version bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO tidelock.guardian DEFAULT VALUES;

-- The histories that the database has left, oldest first, and the safe_version at which it left each.
CREATE TABLE tidelock.histories (
    n            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    history      text NOT NULL,
    safe_version bigint NOT NULL,
    left_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The server that the cache is, one a shard of a cluster. A record is retired only if it was settled on one of these.
-- repair_from and drop_above are null once its entries are known to be good; else what of them is in doubt: those of
-- keys changed by a transaction from repair_from on, and those with a version above drop_above. doubts counts how often
-- something came to be in doubt: a repair is of one doubt, and ends none that came later.
CREATE TABLE tidelock.servers (
    shard       text PRIMARY KEY,
    run_id      text NOT NULL,
    repl_id     text NOT NULL,
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    repair_from xid8,
    drop_above  bigint,
    doubts      bigint NOT NULL DEFAULT 1,
    looked_at   bigint NOT NULL DEFAULT 0, -- keys, by the repair under way or the last one
    repaired_at timestamptz
);

-- Where the horizon stood in the past: every transaction below xid was settled at that time. For repairs by hand.
CREATE TABLE tidelock.horizons (
    at      timestamptz PRIMARY KEY DEFAULT clock_timestamp(),
    history text NOT NULL,
    xid     xid8 NOT NULL
);

-- +goose Down
DROP TABLE tidelock.horizons, tidelock.servers, tidelock.histories, tidelock.guardian;
