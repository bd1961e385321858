-- +goose Up
-- The trace that a record was written in, as W3C's traceparent: the relay that applies it goes on with it. Null for a write that nobody traces.
ALTER TABLE tidelock.outbox ADD COLUMN trace text;

-- +goose Down
ALTER TABLE tidelock.outbox DROP COLUMN trace;
