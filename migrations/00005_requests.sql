-- +goose Up
-- Writes over HTTP that bore an Idempotency-Key, each in the transaction of its write: who repeats one gets the first one's answer. xid tells whether the
-- version that a key has now is that write's own.
CREATE TABLE tidelock.requests (
    client      text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL, -- of the request: another one may not have the key
    keys        text[] COLLATE "C" NOT NULL DEFAULT '{}',
    rows        text[] NOT NULL DEFAULT '{}', -- as JSON, null for one that was deleted
    xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (client, key)
);
CREATE INDEX requests_at ON tidelock.requests (at);

-- +goose Down
DROP TABLE tidelock.requests;
