-- The columns of the table with oid $1. A domain counts as what it is of.
WITH RECURSIVE plain AS (
    SELECT a.attnum, a.atttypid AS typ, false AS domain, a.attnotnull AS required
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT p.attnum, t.typbasetype, true, p.required OR t.typnotnull
    FROM plain p JOIN pg_catalog.pg_type t ON t.oid = p.typ WHERE t.typtype = 'd'
)
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), p.domain, p.required,
       a.atthasdef OR a.attidentity <> '' OR (SELECT typdefault IS NOT NULL FROM pg_catalog.pg_type WHERE oid = a.atttypid),
       a.attgenerated <> '' OR a.attidentity = 'a',
       pg_catalog.col_description(a.attrelid, a.attnum),
       coalesce(NOT coll.collisdeterministic, false),
       CASE WHEN a.atttypmod > 4 AND t.typname = 'varchar' THEN a.atttypmod - 4 ELSE 0 END,
       CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname ELSE '' END, t.typtype,
       (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid),
       CASE WHEN el.oid IS NULL THEN NULL WHEN el.typnamespace = 'pg_catalog'::regnamespace THEN el.typname ELSE '' END, coalesce(el.typtype, 'b'),
       (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = el.oid)
FROM pg_catalog.pg_attribute a
JOIN plain p ON p.attnum = a.attnum
JOIN pg_catalog.pg_type t ON t.oid = p.typ AND t.typtype <> 'd'
LEFT JOIN pg_catalog.pg_type el ON el.oid = t.typelem AND t.typcategory = 'A'
LEFT JOIN pg_catalog.pg_collation coll ON coll.oid = a.attcollation
WHERE a.attrelid = $1
ORDER BY a.attnum
