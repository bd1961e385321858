-- The tables of schema tidelock: bytes of the table and of its indexes, dead rows, updated rows, and those of them that stayed in their page (HOT).
SELECT relname, pg_table_size(relid)::float8, pg_indexes_size(relid)::float8, n_dead_tup::float8, n_tup_upd::float8, n_tup_hot_upd::float8
FROM pg_stat_user_tables WHERE schemaname = 'tidelock'
