package entity_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/serve/entity"
)

const tables = `CREATE TABLE flights (id int PRIMARY KEY, number text NOT NULL, delay int NOT NULL DEFAULT 0, code text UNIQUE, maybe int UNIQUE);
	CREATE TABLE seats (flight int REFERENCES flights ON DELETE CASCADE, seat text, PRIMARY KEY (flight, seat));
	CREATE TABLE tags (flight int PRIMARY KEY, code text REFERENCES flights (code) ON UPDATE CASCADE);
	CREATE VIEW late AS SELECT * FROM flights WHERE delay > 0;
	CREATE UNLOGGED TABLE quick (id int PRIMARY KEY);
	CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
	CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (9);
	CREATE TABLE parent (id int PRIMARY KEY);
	CREATE TABLE child () INHERITS (parent);
	CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
	CREATE TABLE folded (name text COLLATE folding PRIMARY KEY);
	CREATE TABLE padded (code char(3) PRIMARY KEY);
	CREATE DOMAIN code AS text;
	CREATE TABLE domained (code code PRIMARY KEY);
	CREATE TABLE "odd.one" (id int PRIMARY KEY);
	CREATE TABLE made (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int)`

// line is what an error must say: its place and a part of the reason.
type line struct {
	place  string
	reason string
}

// TestWhatIsDeclaredWronglyIsNamed gives files that start as this one does, at line 2, each with what must be said.
func TestWhatIsDeclaredWronglyIsNamed(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	if _, err := db.Exec(t.Context(), tables); err != nil {
		t.Fatal(err)
	}
	const flights = "  flights: {table: flights, key: id, cache: 'f:{id}', columns: [number, delay]}\n"
	for name, c := range map[string]struct {
		text string
		want line
	}{
		"no YAML":          {"entities: [", line{"1:11", ""}},
		"nothing":          {"", line{"1:1", "want one YAML document"}},
		"no entities":      {"clients: {}\n", line{"1:1", "no entities"}},
		"unknown field":    {"entities:\n  a: {table: flights, kee: id}\n", line{"2:23", "kee"}},
		"unknown section":  {"entity:\n", line{"1:1", "entity"}},
		"entity's name":    {"entities:\n  A b: {table: flights, key: id, cache: 'f:{id}'}\n", line{"2:3", "cannot be an entity's name"}},
		"batch":            {"entities:\n  batch: {table: flights, key: id, cache: 'f:{id}'}\n", line{"2:3", "batch"}},
		"no table":         {"entities:\n  a: {key: id, cache: 'f:{id}'}\n", line{"2:3", `"table" is missing`}},
		"no such table":    {"entities:\n  a: {table: flight, key: id, cache: 'f:{id}'}\n", line{"2:14", `no table "flight"`}},
		"injected table":   {"entities:\n  a: {table: 'flights\"; DROP TABLE flights; --', key: id, cache: 'f:{id}'}\n", line{"2:14", `no table`}},
		"a view":           {"entities:\n  a: {table: late, key: id, cache: 'f:{id}'}\n", line{"2:14", `no table`}},
		"unlogged":         {"entities:\n  a: {table: quick, key: id, cache: 'f:{id}'}\n", line{"2:14", `unlogged`}},
		"a partition":      {"entities:\n  a: {table: part1, key: id, cache: 'f:{id}'}\n", line{"2:14", `partition`}},
		"a parent":         {"entities:\n  a: {table: parent, key: id, cache: 'f:{id}'}\n", line{"2:14", `inherit`}},
		"no such column":   {"entities:\n  a:\n    table: flights\n    key: id\n    cache: f:{id}\n    columns: [number, dely]\n", line{"6:23", `no column "dely"`}},
		"no such key":      {"entities:\n  a: {table: flights, key: ident, cache: 'f:{ident}', columns: [number]}\n", line{"2:28", `no column "ident"`}},
		"not unique":       {"entities:\n  a: {table: flights, key: number, cache: 'f:{number}', columns: [delay]}\n", line{"2:28", "no unique index"}},
		"may be null":      {"entities:\n  a: {table: flights, key: maybe, cache: 'f:{maybe}', columns: [number]}\n", line{"2:28", "may be null"}},
		"folding":          {"entities:\n  a: {table: folded, key: name, cache: 'f:{name}'}\n", line{"2:27", "collation"}},
		"padded":           {"entities:\n  a: {table: padded, key: code, cache: 'f:{code}'}\n", line{"2:27", "character(3)"}},
		"domain":           {"entities:\n  a: {table: domained, key: code, cache: 'f:{code}'}\n", line{"2:29", "one spelling"}},
		"part of the key":  {"entities:\n  a: {table: seats, key: [flight, seat], cache: 's:{flight}'}\n", line{"2:49", "every column of the key"}},
		"template":         {"entities:\n  a: {table: flights, key: id, cache: 'f:{idd}', columns: [number]}\n", line{"2:39", "{idd}"}},
		"open template":    {"entities:\n  a: {table: flights, key: id, cache: 'f:{id', columns: [number]}\n", line{"2:39", "without a }"}},
		"nothing between":  {"entities:\n  a: {table: seats, key: [flight, seat], cache: 's:{flight}{seat}'}\n", line{"2:49", "nothing between"}},
		"a digit between":  {"entities:\n  a: {table: seats, key: [flight, seat], cache: 's:{flight}0{seat}'}\n", line{"2:49", "let it begin with"}},
		"reserved":         {"entities:\n  a: {table: flights, key: id, cache: 'tidelock:{id}', columns: [number]}\n", line{"2:39", "Tidelock's own"}},
		"bare":             {"entities:\n  a: {table: flights, key: id, cache: '{id}', columns: [number]}\n", line{"2:39", "Tidelock's own"}},
		"cannot insert":    {"entities:\n  a: {table: flights, key: id, cache: 'f:{id}', columns: [delay]}\n", line{"2:3", `"number" must have a value`}},
		"identity":         {"entities:\n  a: {table: made, key: id, cache: 'm:{id}', columns: [n]}\n", line{"2:3", `"id" must have a value`}},
		"TTL":              {"entities:\n  a: {table: flights, key: id, cache: 'f:{id}', columns: [number], ttl: 400h}\n", line{"2:73", "invalid TTL"}},
		"no duration":      {"entities:\n  a: {table: flights, key: id, cache: 'f:{id}', columns: [number], ttl: soon}\n", line{"2:73", "duration"}},
		"allocation":       {"entities:\n  a: {table: flights, key: id, cache: 'f:{id}', columns: [number], allocate: no}\n", line{"2:78", "allocation"}},
		"method":           {"entities:\n  a: {table: flights, key: id, cache: 'f:{id}', columns: [number], methods: [get, post]}\n", line{"2:83", "post"}},
		"twice":            {"entities:\n  a: {table: flights, key: id, cache: 'f:{id}', columns: [number, number]}\n", line{"2:67", "twice"}},
		"read-only":        {"entities:\n  a: {table: flights, key: id, cache: 'f:{id}', columns: [number], read_only: delay}\n", line{"2:79", "not among the columns"}},
		"one table":        {"entities:\n" + flights + "  b: {table: public.flights, key: id, cache: 'b:{id}', columns: [number]}\n", line{"3:14", "have one table"}},
		"one key":          {"entities:\n" + flights + "  b: {table: seats, key: [flight, seat], cache: 'f:{flight}:{seat}', methods: get}\n", line{"3:49", "may be the same"}},
		"cascade":          {"entities:\n" + flights + "  b: {table: seats, key: [flight, seat], cache: 's:{flight}:{seat}'}\n", line{"2:3", "by a foreign key"}},
		"update cascade":   {"entities:\n  flights: {table: flights, key: id, cache: 'f:{id}', columns: [number, code], methods: [put]}\n  tags: {table: tags, key: flight, cache: 't:{flight}', columns: code}\n", line{"2:3", `column "code"`}},
		"client's hash":    {"entities:\n" + flights + "clients:\n  a: {sha256: abc, scopes: {flights: read}}\n", line{"4:15", "SHA-256"}},
		"client's secret":  {"entities:\n" + flights + "clients:\n  a: {scopes: {flights: read}}\n", line{"4:3", "needs either"}},
		"client's scope":   {"entities:\n" + flights + "clients:\n  a: {certificate: a, scopes: {fligths: read}}\n", line{"4:32", "no entity"}},
		"client's right":   {"entities:\n" + flights + "clients:\n  a: {certificate: a, scopes: {flights: [read, own]}}\n", line{"4:48", "no right"}},
		"one certificate":  {"entities:\n" + flights + "clients:\n  a: {certificate: x}\n  b: {certificate: x}\n", line{"5:3", "are one"}},
		"not a mapping":    {"entities: 3\n", line{"1:11", "mapping"}},
		"twice the entity": {"entities:\n" + flights + flights, line{"3:3", "already defined"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := entity.Parse("dir/e.yaml", []byte(c.text))
			if err == nil {
				_, err = f.Check(t.Context(), db)
			}
			wrong, ok := errors.AsType[entity.Errors](err)
			if !ok {
				t.Fatalf("got %v, want an error of ours", err)
			}
			for _, e := range wrong {
				if fmt.Sprintf("%d:%d", e.Line(), e.Column()) == c.want.place && strings.Contains(e.Reason, c.want.reason) {
					return
				}
			}
			t.Errorf("got %v\nwant dir/e.yaml:%s: %s", err, c.want.place, c.want.reason)
		})
	}
}

func TestWhatIsDeclaredWellIsTaken(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	if _, err := db.Exec(t.Context(), tables); err != nil {
		t.Fatal(err)
	}
	f, err := entity.Parse("e.yaml", []byte(`
entities:
  flights: {table: public.flights, key: [id], cache: "f:{id}", columns: [id, number, delay], methods: [get, put, patch], ttl: 1h30m, allocate: read}
  seats: {table: seats, key: [flight, seat], cache: "s:{seat}/{flight}"}
  parts: {table: parts, key: id, cache: "p:{id}"}
  made: {table: made, key: id, cache: "m:{id}", columns: n, insert: false, about: made by Postgres}
clients:
  board: {sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, scopes: {"*": read, flights: [read, write]}, rate: 5}
`))
	if err != nil {
		t.Fatal(err)
	}
	all, err := f.Check(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if got := all[1].CacheKey([]string{"7", "12/A%"}); got != "s:12%2FA%25/7" {
		t.Errorf("the key is %q", got)
	}
	clients := f.Clients()
	board := entity.ByToken(clients, "test")
	if board == nil || !board.May(entity.ToRead, "seats") || board.May(entity.ToWrite, "seats") || !board.May(entity.ToWrite, "flights") || board.May(entity.ToAdmin, "flights") {
		t.Errorf("the client is %+v", board)
	}
	if entity.ByToken(clients, "Test") != nil || entity.ByToken(clients, "") != nil {
		t.Error("a wrong token is somebody's")
	}
}
