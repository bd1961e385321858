package serve_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/serve"
)

// FuzzRequest sends what nobody would: no request ends in a fault of the server's, and every refusal is a problem.
func FuzzRequest(f *testing.F) {
	w := newWorld(f, "", func(c *serve.Config) {
		c.Cache, c.Log = rig.Cache(f, stacktest.Valkey(f).URL(), func(c *cache.Config) { c.Log = nil }), nil // a log may not be written to from here
		c.Rate = 1e9
	})
	for _, seed := range [][4]string{
		{"GET", "/v1/flights/1", "If-None-Match: \"1\"\nTidelock-Token: YQE", ""},
		{"PUT", "/v1/flights/1", "If-Match: \"1\", W/\"2-gzip\"", `{"number":"TL 1","price":1e3}`},
		{"PATCH", "/v1/seats/1/A%2FB", "Idempotency-Key: a", `{"taken":false}`},
		{"POST", "/v1/flights:batchGet", "Tidelock-Consistency: within=2s", `{"ids":[1,"2"]}`},
		{"POST", "/v1/batch", "", `{"operations":[{"method":"PUT","entity":"kinds","id":"0191d1f2-7a5c-7c3e-8000-2f6d3a0b9c11","row":{"j":{"a":[1,"\u0000"]},"a":[[1]],"b":"\\x00"}}]}`},
		{"DELETE", "/v1/flights/9223372036854775807", "If-Match: *", ""},
		{"PUT", "/v1/kinds/0191d1f2-7a5c-7c3e-8000-2f6d3a0b9c11", "Content-Encoding: gzip", `{"t":"infinity","i":"1 day","r":"[1,","js":nul}`},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, method, path, headers, body string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || !strings.HasPrefix(path, "/") || u.Host != "" {
			t.Skip()
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", strings.NewReader(body))
		r.Method, r.URL, r.Host = method, u, "localhost"
		r.Header.Set("Content-Type", "application/json")
		for line := range strings.SplitSeq(headers, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				r.Header.Set(name, value)
			}
		}
		got := httptest.NewRecorder()
		w.server.ServeHTTP(got, r)
		if got.Code >= 500 {
			t.Fatalf("%s %q with %q and %q got %d: %s", method, path, headers, body, got.Code, got.Body)
		}
		var problem struct{ Type, Title string }
		if got.Code >= 400 && (got.Header().Get("Content-Type") != "application/problem+json" || json.Unmarshal(got.Body.Bytes(), &problem) != nil || problem.Title == "") {
			t.Fatalf("%s %q got %d, which is no problem: %s", method, path, got.Code, got.Body)
		}
	})
}
