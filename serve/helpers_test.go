package serve_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/serve"
	"github.com/tidelock-cache/tidelock/serve/entity"
)

const tables = `CREATE TYPE state AS ENUM ('planned', 'boarding', 'gone');
	CREATE TABLE flights (id bigint PRIMARY KEY, number varchar(8) NOT NULL, delay int NOT NULL DEFAULT 0, gate text, secret text NOT NULL DEFAULT 'hidden',
		state state NOT NULL DEFAULT 'planned', price numeric, at timestamptz, changes bigint NOT NULL GENERATED ALWAYS AS (delay::bigint * 2) STORED);
	CREATE TABLE seats (flight bigint NOT NULL, "seat no" text NOT NULL, taken boolean NOT NULL, PRIMARY KEY (flight, "seat no"));
	CREATE TABLE kinds (id uuid PRIMARY KEY, n numeric, f float8, t timestamptz, b bytea, u uuid, a int[], aa text[], j jsonb, js json, i interval, r int4range, d date, big int8)`

// prefix keeps the keys of one test's world apart from those of the others, on the Valkey they share.
const entities = `
entities:
  flights:
    table: flights
    key: id
    cache: PREFIXflight:{id}
    columns: [number, delay, gate, state, price, at, changes]
    about: Flights that leave today.
  seats:
    table: public.seats
    key: [flight, seat no]
    cache: PREFIXseat:{flight}:{seat no}
    columns: [taken]
    ttl: 10m
    allocate: read
  kinds:
    table: kinds
    key: id
    cache: PREFIXkind:{id}
    columns: [n, f, t, b, u, a, aa, j, js, i, r, d, big]
`

// world is a server on real servers.
type world struct {
	t      testing.TB
	db     *pgxpool.Pool
	cache  *cache.Cache
	prefix string
	url    string
	server *serve.Server
}

// tuned returns a pool like another one, with the sessions that a server needs.
func tuned(t testing.TB, db *pgxpool.Pool) *pgxpool.Pool {
	t.Helper()
	return tunedFrom(t, db.Config())
}

func tunedFrom(t testing.TB, cfg *pgxpool.Config) *pgxpool.Pool {
	t.Helper()
	entity.Tune(cfg)
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// newWorld starts a server; tune may change its settings, and the file is the entities above with what more adds.
func newWorld(t testing.TB, more string, tune ...func(*serve.Config)) *world {
	t.Helper()
	w := &world{t: t, db: tuned(t, rig.DB(t)), prefix: strings.ReplaceAll(t.Name(), "/", "_") + ":"}
	w.exec(tables)
	w.cache = rig.Cache(t, stacktest.Valkey(t).URL())
	cfg := serve.Config{DB: w.db, Cache: w.cache, File: w.parse(entities + more), Log: rig.Log(t)}
	for _, f := range tune {
		f(&cfg)
	}
	server, err := serve.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	listening := httptest.NewServer(server)
	t.Cleanup(listening.Close)
	w.server, w.url = server, listening.URL
	return w
}

func (w *world) parse(text string) *entity.File {
	w.t.Helper()
	f, err := entity.Parse("entities.yaml", []byte(strings.ReplaceAll(text, "PREFIX", w.prefix)))
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

// answer is what a request got.
type answer struct {
	t      testing.TB
	asked  string
	status int
	header http.Header
	body   string
}

// do sends a request; headers are "Name: value".
func (w *world) do(method, path, body string, headers ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		w.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	got, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{w.t, method + " " + path, got.StatusCode, got.Header, string(text)}
}

// want checks the status and what the body contains.
func (a answer) want(status int, parts ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("%s got %d, want %d: %s", a.asked, a.status, status, a.body)
	}
	for _, part := range parts {
		if !strings.Contains(a.body, part) {
			a.t.Errorf("%s got %s, want it to contain %s", a.asked, a.body, part)
		}
	}
	if a.status >= 400 && !strings.HasSuffix(a.asked, "readyz") && a.header.Get("Content-Type") != "application/problem+json" && a.body != "" {
		a.t.Errorf("%s got an error of the type %q", a.asked, a.header.Get("Content-Type"))
	}
	return a
}

// has checks a header.
func (a answer) has(name, want string) answer {
	a.t.Helper()
	if got := a.header.Get(name); got != want {
		a.t.Errorf("%s got %s: %q, want %q", a.asked, name, got, want)
	}
	return a
}

// row is the row in the answer to a write.
func (a answer) row() string {
	a.t.Helper()
	var body struct{ Row json.RawMessage }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		a.t.Fatal(err)
	}
	return string(body.Row)
}
