-- The tables of schema tidelock: bytes of the table and of its indexes, dead rows, updated rows, and those of them that stayed in their page (HOT).
-- The parts of the outbox count as one.
SELECT regexp_replace(relname, '^outbox_\d$', 'outbox'), sum(pg_table_size(relid))::float8, sum(pg_indexes_size(relid))::float8, sum(n_dead_tup)::float8,
       sum(n_tup_upd)::float8, sum(n_tup_hot_upd)::float8
FROM pg_stat_user_tables WHERE schemaname = 'tidelock' GROUP BY 1
