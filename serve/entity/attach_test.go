package entity_test

import (
	strings0 "strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/serve/entity"
)

const keyed = `CREATE COLLATION plain (provider = icu, locale = 'de');
	CREATE TABLE people (name text COLLATE plain, "no $" bigint, born smallint, id uuid, alias varchar(9) NOT NULL UNIQUE, PRIMARY KEY (name, "no $", born, id))`

// TestKeyInSQLIsTheCacheKey makes keys of rows with everything that has to be escaped, however the session reads literals.
func TestKeyInSQLIsTheCacheKey(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	if _, err := db.Exec(t.Context(), keyed); err != nil {
		t.Fatal(err)
	}
	names := []string{"a", "a:b", "100%", "%3A", "%253A", "o'brien", `back\slash`, "$1", "é漢", " ", ":", "::", "-"}
	for i, name := range names {
		if _, err := db.Exec(t.Context(), "INSERT INTO people VALUES ($1, $2, $3, gen_random_uuid(), $4)", name, i-3, -i, "x:"+string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
	}
	for name, declared := range map[string]string{
		"of many columns": `{table: people, key: [name, "no $", born, id], cache: "p$'\\n{name}:${no $}-''{born}/{id}$"}`,
		"of one column":   `{table: people, key: alias, cache: 'alias:{alias}'}`,
	} {
		for _, strings := range []string{"on", "off"} {
			t.Run(name+", standard_conforming_strings "+strings, func(t *testing.T) {
				t.Parallel()
				file, err := entity.Parse("e.yaml", []byte("entities:\n  people: "+declared[:len(declared)-1]+", methods: get}\n"))
				if err != nil {
					t.Fatal(err)
				}
				entities, err := file.Check(t.Context(), db)
				if err != nil {
					t.Fatal(err)
				}
				e := entities[0]
				tx, err := db.Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer tx.Rollback(t.Context())
				if _, err := tx.Exec(t.Context(), "SET LOCAL standard_conforming_strings = "+strings); err != nil {
					t.Fatal(err)
				}
				var columns strings0.Builder
				for _, c := range e.Key {
					columns.WriteString(", r." + pgx.Identifier{c.Name}.Sanitize() + "::text")
				}
				rows, err := tx.Query(t.Context(), "SELECT ARRAY["+columns.String()[2:]+"], "+e.KeySQL()+" FROM people r")
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				var id []string
				var key string
				if _, err := pgx.ForEachRow(rows, []any{&id, &key}, func() error {
					n++
					if want := e.CacheKey(id); key != want {
						t.Errorf("the key of %q is %q in SQL, want %q", id, key, want)
					}
					return nil
				}); err != nil || n != len(names) {
					t.Errorf("%d rows, %v", n, err)
				}
			})
		}
	}
}
