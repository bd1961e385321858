package dashboard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/dashboard"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/writer"
)

const (
	// patience is for what should take a second or two on a machine that is busy with something else.
	patience = 60 * time.Second
	token    = "a token for these tests"
	// guardLease lets a guardian keep its office on such a machine.
	guardLease = 4 * time.Second
)

// site is a relay with its dashboard, served.
type site struct {
	t      *testing.T
	db     *pgxpool.Pool
	valkey *stack.Valkey
	cache  *cache.Cache
	nats   *nats.Conn
	writer *writer.Writer
	url    string
	stop   func() // ends the dashboard
}

// newSite serves the dashboard of a relay on a database and a Valkey of its own. relayDB is the relay's pool, nil for the site's.
func newSite(t *testing.T, db, relayDB *pgxpool.Pool, cfg dashboard.Config) *site {
	t.Helper()
	if relayDB == nil {
		relayDB = db
	}
	s := &site{t: t, db: db, valkey: stacktest.OwnValkey(t), nats: rig.NATS(t, stacktest.NATS(t).URL())}
	s.cache = rig.Cache(t, s.valkey.URL(), func(c *cache.Config) { c.Timeout = 300 * time.Millisecond })
	s.writer = rig.Writer(t, writer.Config{DB: db, Cache: s.cache, Grace: time.Millisecond})
	s.url = s.serve(relayDB, cfg)
	return s
}

// serve runs a relay and serves its dashboard.
func (s *site) serve(relayDB *pgxpool.Pool, cfg dashboard.Config) (url string) {
	s.t.Helper()
	r, _ := rig.Relay(s.t, relay.Config{DB: relayDB, Cache: s.cache, NATS: s.nats, Stream: stream(s.t), AuditPause: 10 * time.Millisecond, GuardLease: guardLease, Log: rig.Log(s.t)})
	cfg.DB, cfg.Cache, cfg.NATS, cfg.Relay, cfg.Log = s.db, s.cache, s.nats, r, rig.Log(s.t)
	d, err := dashboard.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	mux := http.NewServeMux()
	d.Register(mux)
	server := httptest.NewServer(mux)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.Run(ctx)
	}()
	s.stop = sync.OnceFunc(func() {
		stop()
		<-done
		server.Close()
	})
	s.t.Cleanup(s.stop)
	return server.URL
}

// stream is a name for a stream of the test's own.
func stream(t *testing.T) string {
	return strings.NewReplacer("/", "_", ".", "_", " ", "_").Replace(strings.ToUpper(t.Name()))
}

func (s *site) write(key, value string) writer.Result {
	s.t.Helper()
	result, err := s.writer.Write(s.t.Context(), func(context.Context, *writer.Tx) error { return nil }, writer.Set(key, []byte(value)))
	if err != nil {
		s.t.Fatal(err)
	}
	return result
}

// ask asks the dashboard, with headers as names and values, and returns the status, the headers and the body.
func (s *site) ask(method, path, body string, headers ...string) (int, http.Header, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewBufferString(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

var bearer = []string{"Authorization", "Bearer " + token}

// shown is what a viewer of the dashboard is told in one event.
type shown struct {
	Sample dashboard.Sample
	State  dashboard.State
}

// await reads a stream of the dashboard at url until an event is as wanted.
func await(t *testing.T, url, what string, as func(shown) bool) shown {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var last shown
	for name, data := range events(ctx, t, url) {
		if name != "now" {
			continue
		}
		last = shown{}
		if err := json.Unmarshal(data, &last); err != nil {
			t.Fatal(err)
		}
		if as(last) {
			return last
		}
	}
	t.Fatalf("the dashboard did not show that %s; the last it showed was %+v", what, last)
	return last
}
