-- The table that a name means, and what speaks against it. $1: its name, quoted.
SELECT c.oid, n.nspname, c.relname,
       CASE WHEN c.relkind NOT IN ('r', 'p') THEN 'it is no table'
            WHEN c.relpersistence = 'u' THEN 'it is unlogged: a crash of Postgres empties it, and the cache would not know'
            WHEN c.relpersistence = 't' THEN 'it is temporary'
            WHEN c.relispartition THEN 'it is a partition: declare the table that it is part of'
            WHEN c.relkind = 'r' AND EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE c.oid IN (i.inhparent, i.inhrelid))
                THEN 'it inherits, or is inherited from: its rows may be written under another table''s name'
            ELSE '' END,
       (SELECT count(*) FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 66 = 0 AND p.pronamespace IS DISTINCT FROM pg_catalog.to_regnamespace('tidelock'))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = pg_catalog.to_regclass($1)
