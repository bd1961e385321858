-- +goose Up
-- The prefixes of the keys that are strict: a write to one is acknowledged only once every strict read sees it. Whoever writes has
-- to know of them, so they come into force in steps, which the guardian sees to (relay/strict.go).
CREATE TABLE tidelock.strict (
    prefix   text COLLATE "C" PRIMARY KEY,
    id       bigint GENERATED ALWAYS AS IDENTITY, -- of the declaration: a step that was meant for an earlier one of the same prefix does nothing
    ended_by xid8,        -- every transaction that may have overlooked the prefix has a lower xid; null until that can be said
    since    timestamptz, -- in force: what those have written is settled, and leases name the prefix
    leaving  boolean NOT NULL DEFAULT false
);

-- Another number whenever that table has changed. A sequence, for every transaction sees it as it is now, whatever its snapshot.
CREATE SEQUENCE tidelock.strict_generation;

-- Counts calls for help of those who can settle nothing and cannot reach the guardian but here. A sequence, for it locks nothing.
CREATE SEQUENCE tidelock.calls;

-- lasts: how long the office was taken for; who cannot reach the guardian waits it out. former: how long its last holder had taken it for.
-- trust_no: the number of the last statement about the trust. One that was sent before another and comes after it does nothing.
-- suspensions counts how often it was written that the cache is suspended: whoever has counted once more knows that nobody trusted it in between.
ALTER TABLE tidelock.guardian
    ADD lasts       interval NOT NULL DEFAULT '0',
    ADD former      interval NOT NULL DEFAULT '0',
    ADD trust_no    bigint NOT NULL DEFAULT 0,
    ADD suspensions bigint NOT NULL DEFAULT 0;

-- +goose StatementBegin
CREATE FUNCTION tidelock.strict_changed() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the strict prefixes have changed' USING ERRCODE = 'TL001';
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION tidelock.strict_changed();
ALTER TABLE tidelock.guardian DROP lasts, DROP former, DROP trust_no, DROP suspensions;
DROP SEQUENCE tidelock.calls, tidelock.strict_generation;
DROP TABLE tidelock.strict;
