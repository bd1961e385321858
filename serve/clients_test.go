package serve_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/serve"
)

// secret is the token of the clients of a test, whose names begin it.
const secret = "-s3cret-t0ken"

// client declares a client.
func client(name, more string) string {
	hash := sha256.Sum256([]byte(name + secret))
	return fmt.Sprintf("  %s: {sha256: %s, %s}\n", name, hex.EncodeToString(hash[:]), more)
}

func bearer(name string) string { return "Authorization: Bearer " + name + secret }

func TestScopes(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.DebugLevel)
	w := newWorld(t, "clients:\n"+client("reader", "scopes: {flights: read}")+client("writer", "scopes: {flights: write}")+client("both", `scopes: {"*": [read, write]}`)+
		client("admin", "scopes: {flights: admin}")+client("nobody", "scopes: {}"), func(c *serve.Config) { c.Log = zap.New(core) })
	const path = "/v1/flights/1"
	w.do("PUT", path, `{"number":"TL 1"}`, bearer("writer")).want(200, `{"cache":"applied","etag":`)
	if got := w.do("PATCH", path, `{"gate":"A1"}`, bearer("writer")); strings.Contains(got.body, "TL 1") {
		t.Errorf("who may not read is shown a row: %s", got.body)
	}
	w.do("PATCH", path, `{"gate":"A1"}`, bearer("both")).want(200, `"row":{"id":1,`)
	for _, c := range []struct {
		method, path, body, who string
		status                  int
	}{
		{"GET", path, "", "reader", 200}, {"GET", path, "", "both", 200}, {"GET", path, "", "writer", 403}, {"GET", path, "", "nobody", 403}, {"GET", path, "", "admin", 403},
		{"DELETE", path, "", "reader", 403}, {"PUT", path, `{"number":"x"}`, "admin", 403}, {"GET", "/v1/seats/1/A", "", "reader", 403},
		{"POST", "/v1/flights:batchGet", `{"ids":[1]}`, "reader", 200}, {"POST", "/v1/flights:batchGet", `{"ids":[1]}`, "writer", 403},
		{"POST", "/v1/flights:invalidate", `{"ids":[1]}`, "admin", 200}, {"POST", "/v1/flights:invalidate", `{"ids":[1]}`, "both", 403},
		{"POST", "/v1/batch", `{"operations":[{"method":"PATCH","entity":"flights","id":1,"row":{"delay":1}},{"method":"PUT","entity":"seats","id":[1,"A"],"row":{"taken":true}}]}`, "writer", 403},
		{"GET", path, "", "unknown", 401}, {"GET", "/docs", "", "unknown", 401}, {"GET", "/openapi.json", "", "nobody", 200}, {"GET", "/livez", "", "unknown", 200},
	} {
		w.do(c.method, c.path, c.body, bearer(c.who)).want(c.status)
	}
	w.do("GET", path, "").want(401).has("WWW-Authenticate", "Bearer")
	w.do("GET", path, "", "Authorization: Basic cmVhZGVy").want(401)
	for _, entry := range logs.All() {
		if text := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(text, secret) {
			t.Errorf("a token stands in the log: %s", text)
		}
	}
	if logs.Len() == 0 {
		t.Error("nothing was logged")
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "clients:\n"+client("slow", `scopes: {"*": [read, write]}, rate: 0.001, burst: 2`)+client("other", `scopes: {"*": [read, write]}`),
		func(c *serve.Config) { c.BodyMax, c.BatchMax = 200, 3 })
	w.do("GET", "/v1/flights/1", "", bearer("slow")).want(404)
	w.do("GET", "/v1/flights/1", "", bearer("slow")).want(404)
	w.do("GET", "/v1/flights/1", "", bearer("slow")).want(429).has("Retry-After", "1")
	w.do("GET", "/v1/flights/1", "", bearer("other")).want(404)
	long := `{"number":"TL 1","gate":"` + strings.Repeat("x", 200) + `"}`
	w.do("PUT", "/v1/flights/1", long, bearer("other")).want(413)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(long))
	_ = z.Close()
	w.do("PUT", "/v1/flights/1", zipped.String(), bearer("other"), "Content-Encoding: gzip").want(413)
	w.do("PUT", "/v1/flights/1", "rubbish", bearer("other"), "Content-Encoding: gzip").want(400)
	w.do("PUT", "/v1/flights/1", "rubbish", bearer("other"), "Content-Encoding: br").want(415)
	w.do("PUT", "/v1/flights/1", `{"number":"TL 1"}`, bearer("other"), "Content-Type: text/plain").want(415)
	w.do("POST", "/v1/flights:batchGet", `{"ids":[1,2,3,4]}`, bearer("other")).want(413)
	w.do("POST", "/v1/flights/1", `{}`, bearer("other")).want(405).has("Allow", "GET, PUT, PATCH, DELETE, HEAD")
	w.do("GET", "/v1/batch", "", bearer("other")).want(405).has("Allow", "POST")
}

// TestConcurrencyIsLimited holds a row, so that whoever writes it stays.
func TestConcurrencyIsLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", func(c *serve.Config) { c.Concurrent, c.Timeout = 1, 2*time.Second })
	w.do("PUT", "/v1/flights/1", `{"number":"TL 1"}`).want(200)
	tx, err := w.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `SELECT 1 FROM flights FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	var held sync.WaitGroup
	held.Go(func() { w.do("PATCH", "/v1/flights/1", `{"delay":1}`).want(504) })
	waitForLock(t, w, 1)
	w.do("GET", "/v1/flights/2", "").want(503)
	w.do("GET", "/readyz", "").want(200)
	held.Wait()
	w.do("GET", "/v1/flights/2", "").want(404)
}

func TestGzipAndRequestID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	gate := strings.Repeat("gate ", 1000)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(`{"number":"TL 1","gate":"` + gate + `"}`))
	_ = z.Close()
	tag := w.do("PUT", "/v1/flights/1", zipped.String(), "Content-Encoding: gzip").want(200).header.Get("ETag")
	got := w.do("GET", "/v1/flights/1", "", "Accept-Encoding: br, gzip;q=0.5", "X-Request-Id: mine-1").want(200).has("Content-Encoding", "gzip").has("X-Request-Id", "mine-1")
	if want := strings.TrimSuffix(tag, `"`) + `-gzip"`; got.header.Get("ETag") != want {
		t.Errorf("the entity-tag of what is compressed is %s, want %s", got.header.Get("ETag"), want)
	}
	unzipped, err := gzip.NewReader(strings.NewReader(got.body))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(unzipped); err != nil || !strings.Contains(string(text), gate) {
		t.Errorf("got %q, %v", text, err)
	}
	w.do("GET", "/v1/flights/1", "", "Accept-Encoding: gzip;q=0").want(200, gate).has("Content-Encoding", "")
	w.do("GET", "/v1/flights/1", "", "If-None-Match: "+got.header.Get("ETag")).want(304)
	w.do("PATCH", "/v1/flights/1", `{"gate":null}`, "If-Match: "+got.header.Get("ETag")).want(200, `"gate":null`)
	for _, bad := range []string{strings.Repeat("x", 129), "two words"} {
		if id := w.do("GET", "/v1/flights/9", "", "X-Request-Id: "+bad).want(404).header.Get("X-Request-Id"); id == bad || len(id) < 16 {
			t.Errorf("the request's id is %q", id)
		}
	}
}

// TestNobodyIsLetInByAccident: without clients the server answers to this machine alone.
func TestNobodyIsLetInByAccident(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		if err := w.server.Run(t.Context(), serve.Listen{Address: address}); err == nil || !strings.Contains(err.Error(), "declares no clients") {
			t.Errorf("listening on %s ended with %v", address, err)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", w.url+"/v1/flights/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "rebound.example"
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if got.StatusCode != 403 {
		t.Errorf("another name for this machine got %d, want 403", got.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestRunFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.do("PUT", "/v1/flights/1", `{"number":"TL 1"}`).want(200)
	tx, err := w.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT 1 FROM flights FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	address := make(chan net.Addr, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- w.server.Run(ctx, serve.Listen{Address: "127.0.0.1:0", Listening: func(a net.Addr) { address <- a }})
	}()
	w.url = "http://" + (<-address).String()
	var held sync.WaitGroup
	held.Go(func() { w.do("PATCH", "/v1/flights/1", `{"delay":1}`).want(200) })
	waitForLock(t, w, 1)
	stop()
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	held.Wait()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestPostgresAway(t *testing.T) {
	t.Parallel()
	var proxy *stack.Proxy
	w := newWorld(t, "", func(c *serve.Config) {
		c.Timeout = 2 * time.Second
		cfg := c.DB.Config()
		proxy = rig.Proxy(t, net.JoinHostPort(cfg.ConnConfig.Host, fmt.Sprint(cfg.ConnConfig.Port)))
		cfg.ConnConfig.Host = "127.0.0.1"
		cfg.ConnConfig.Port = uint16(portOf(t, proxy.Addr()))
		c.DB = tunedFrom(t, cfg)
	})
	w.do("PUT", "/v1/flights/1", `{"number":"TL 1"}`).want(200)
	if err := proxy.Cut(); err != nil {
		t.Fatal(err)
	}
	w.do("GET", "/v1/flights/1", "").want(200).has("Cache-Status", "tidelock; hit")
	w.do("GET", "/livez", "").want(200)
	w.do("GET", "/readyz", "").want(503, `"state":"unready"`, `"postgres":"down"`)
	if got := w.do("GET", "/v1/flights/2", ""); got.status != 503 {
		t.Errorf("got %d: %s", got.status, got.body)
	}
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestTLSAndCertificates(t *testing.T) {
	t.Parallel()
	certs, err := stack.MakeCerts(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "clients:\n  ops: {certificate: localhost, scopes: {flights: read}}\n"+client("reader", "scopes: {flights: read}"))
	for name, l := range map[string]serve.Listen{
		"authority that has issued": {Address: "127.0.0.1:0"},
		"needs its key":             {Address: "127.0.0.1:0", Certificate: certs.CertFile},
		"need TLS":                  {Address: "127.0.0.1:0", ClientCA: certs.CAFile},
		"no certificate in PEM":     {Address: "127.0.0.1:0", Certificate: certs.CertFile, Key: certs.KeyFile, ClientCA: certs.KeyFile},
	} {
		if err := w.server.Run(t.Context(), l); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v ended with %v, want %q", l, err, name)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	address := make(chan net.Addr, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- w.server.Run(ctx, serve.Listen{Address: "0.0.0.0:0", Certificate: certs.CertFile, Key: certs.KeyFile, ClientCA: certs.CAFile, Listening: func(a net.Addr) { address <- a }})
	}()
	url := fmt.Sprintf("https://127.0.0.1:%d/v1/flights/1", portOf(t, (<-address).String()))
	get := func(config *tls.Config, headers ...string) int {
		r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		got, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		return got.StatusCode
	}
	pair, err := tls.LoadX509KeyPair(certs.CertFile, certs.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	certified := certs.ClientConfig()
	certified.Certificates = []tls.Certificate{pair}
	if got := []int{get(certs.ClientConfig()), get(certified), get(certs.ClientConfig(), bearer("reader")), get(certified, bearer("nobody"))}; !slices.Equal(got, []int{401, 404, 404, 401}) {
		t.Errorf("nobody, a certificate, a token, and a wrong token beside a certificate got %v", got)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
