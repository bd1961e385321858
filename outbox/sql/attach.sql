{{- /* What attaches a table: the function that records what a statement has changed, and a trigger for each kind of statement on the table and each of its
partitions, for a statement that is aimed at a partition fires the partition's own. TRUNCATE is recorded before its rows are gone, and one table at a time.
Pages bound the memory, and are in the order in which everybody takes the locks. A key that is too long for the cache is none. */ -}}
{{define "pages" -}}
SELECT array_agg(k.key) FROM (
            SELECT d.key, (row_number() OVER (ORDER BY d.key) - 1) / 10000 AS page FROM ({{.}}) d WHERE octet_length(convert_to(d.key, 'UTF8')) BETWEEN 1 AND 1024
        ) k GROUP BY k.page ORDER BY k.page
{{- end -}}
{{define "record"}} LOOP
            PERFORM tidelock.record_behind(keys, {{.TTL}}, {{.Allocate}});
        END LOOP;{{end -}}

CREATE OR REPLACE FUNCTION {{.Function}}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET row_security = off AS $tidelock${{$key := printf "SELECT DISTINCT (%s) COLLATE \"C\" AS key FROM " .Key}}
DECLARE
    keys text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        FOR keys IN {{template "pages" (print $key "new_rows r")}}{{template "record" .}}
    ELSIF TG_OP = 'UPDATE' THEN
        FOR keys IN {{template "pages" (print $key "old_rows r UNION " $key "new_rows r")}}{{template "record" .}}
    ELSIF TG_OP = 'DELETE' THEN
        FOR keys IN {{template "pages" (print $key "old_rows r")}}{{template "record" .}}
    ELSIF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'TRUNCATE of % in a transaction that is % may remove rows that it cannot see, and Tidelock could not record them', TG_RELID::regclass,
            current_setting('transaction_isolation') USING HINT = 'Use READ COMMITTED, or DELETE.', ERRCODE = 'feature_not_supported';
    ELSE
        FOR keys IN EXECUTE replace($from${{template "pages" (print $key "ONLY {relation} r")}}$from$, '{relation}', TG_RELID::regclass::text){{template "record" .}}
    END IF;
    RETURN NULL;
END $tidelock$;
REVOKE ALL ON FUNCTION {{.Function}} FROM PUBLIC;
{{range .Relations}}{{$relation := .Name}}
CREATE OR REPLACE TRIGGER {{call $.Trigger "insert"}} AFTER INSERT ON {{.Name}} REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION {{$.Function}}();
CREATE OR REPLACE TRIGGER {{call $.Trigger "update"}} AFTER UPDATE ON {{.Name}} REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION {{$.Function}}();
CREATE OR REPLACE TRIGGER {{call $.Trigger "delete"}} AFTER DELETE ON {{.Name}} REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION {{$.Function}}();
{{- if .Rows}}
CREATE OR REPLACE TRIGGER {{call $.Trigger "truncate"}} BEFORE TRUNCATE ON {{.Name}} FOR EACH STATEMENT EXECUTE FUNCTION {{$.Function}}();
{{- end}}
{{- range .Events}}
ALTER TABLE ONLY {{$relation}} ENABLE ALWAYS TRIGGER {{call $.Trigger .}};
{{- end}}
{{- end}}
