-- Tables whose rows Postgres itself changes when a row of the table with oid $1 is deleted ('d'), or one of its columns changes ('u', with those columns).
WITH RECURSIVE gone AS (
    SELECT conrelid AS rel, confdeltype AS how FROM pg_catalog.pg_constraint
    WHERE contype = 'f' AND confrelid = $1 AND confdeltype IN ('c', 'n', 'd')
    UNION
    SELECT c.conrelid, c.confdeltype FROM gone JOIN pg_catalog.pg_constraint c ON c.confrelid = gone.rel
    WHERE gone.how = 'c' AND c.contype = 'f' AND c.confdeltype IN ('c', 'n', 'd')
)
SELECT DISTINCT rel, 'd', NULL::text[] FROM gone
UNION ALL
SELECT conrelid, 'u', (SELECT array_agg(a.attname::text) FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1 AND a.attnum = ANY (confkey))
FROM pg_catalog.pg_constraint
WHERE contype = 'f' AND confrelid = $1 AND confupdtype IN ('c', 'n', 'd')
