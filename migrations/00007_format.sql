-- +goose Up
-- The format in which entries are written: one that every build in use can read. Everybody may read it.
CREATE TABLE tidelock.format (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    format integer NOT NULL CHECK (format > 0)
);
INSERT INTO tidelock.format (format) VALUES (1);
GRANT SELECT ON tidelock.format TO PUBLIC;

-- +goose Down
DROP TABLE tidelock.format;
