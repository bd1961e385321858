-- +goose Up
-- Ends a statement that put.sql has put together, whose inner statement must be looked at.
-- +goose StatementBegin
CREATE FUNCTION tidelock.look_at_put() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the statement does not return one payload within the limit' USING ERRCODE = 'TL003';
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION tidelock.look_at_put();
