-- +goose Up
-- Whether the cache may be believed, as the guardian of the term sees it (package lease has the phases), since when, and why it could not be
-- the last time. Only "suspended" binds anybody: whoever reads it may count on it for the length of a lease.
ALTER TABLE tidelock.guardian
    ADD trust        text NOT NULL DEFAULT 'suspended',
    ADD trust_since  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD trust_reason text NOT NULL DEFAULT 'no guardian has come yet';

-- +goose Down
ALTER TABLE tidelock.guardian DROP trust, DROP trust_since, DROP trust_reason;
