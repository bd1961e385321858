-- A table and its partitions. Replies with each one's oid, quoted name, whether it has rows of its own, and how many triggers it lacks of those that call
-- the function $2. $1 the table's oid.
SELECT c.oid, format('%I.%I', n.nspname, c.relname), c.relkind <> 'p',
       3 + (c.relkind <> 'p')::int - (SELECT count(*) FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgfoid = pg_catalog.to_regproc($2) AND t.tgenabled = 'A')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = $1 OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree($1))
ORDER BY c.oid
