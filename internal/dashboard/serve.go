package dashboard

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/inspect"
	"github.com/tidelock-cache/tidelock/outbox"
)

//go:embed web
var web embed.FS

// policy lets the page load its own files and nothing else, and lets no script make markup of text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

const (
	// bodyMost bounds the body of a request, retryMost the records that one names.
	bodyMost  = 64 << 10
	retryMost = 1000
	// adminTimeout bounds what an administrator waits for.
	adminTimeout = 15 * time.Second
)

// Register adds the page at / and all it needs at /dashboard/.
func (d *Dashboard) Register(mux *http.ServeMux) {
	files, _ := fs.Sub(web, "web") // it is embedded
	handle := func(pattern string, h http.Handler) { mux.Handle(pattern, guarded(h)) }
	handle("GET /{$}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "page.html") }))
	handle("GET /dashboard/{file}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, r.PathValue("file")) }))
	handle("GET /dashboard/events", http.HandlerFunc(d.stream))
	handle("GET /dashboard/key", d.administrators(d.key))
	handle("POST /dashboard/admin", d.administrators(func(http.ResponseWriter, *http.Request) (any, error) { return struct{}{}, nil }))
	handle("POST /dashboard/retry", d.administrators(d.retry))
	handle("POST /dashboard/action/{name}", d.administrators(d.act))
}

// guarded refuses requests that change something from pages of elsewhere, and says how a browser is to treat the answers.
func guarded(h http.Handler) http.Handler {
	own := http.NewCrossOriginProtection().Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store"} {
			w.Header().Set(name, value)
		}
		own.ServeHTTP(w, r)
	})
}

// admin says what makes an administrator: nothing ("open"), a token, or nobody can be one.
func (d *Dashboard) admin() string {
	switch {
	case d.cfg.Open:
		return "open"
	case d.cfg.Token != "":
		return "token"
	default:
		return "none"
	}
}

// failure is an error with its HTTP status.
type failure struct {
	status int
	text   string
}

// Error returns the text.
func (f failure) Error() string { return f.text }

// allowed returns nil for an administrator.
func (d *Dashboard) allowed(r *http.Request) error {
	switch d.admin() {
	case "open":
		if !ofThisMachine(r) {
			return failure{http.StatusForbidden, "this is for who comes from this machine, and names it in the address"}
		}
		return nil
	case "none":
		return failure{http.StatusForbidden, "no admin token is configured"}
	}
	given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(d.cfg.Token)) // of one length, so that the comparison tells nothing of the token's
	if !bearer || subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
		return failure{http.StatusUnauthorized, "this needs the admin token"}
	}
	return nil
}

// ofThisMachine reports whether a request comes from this machine and was meant for it: a page of elsewhere can give this machine's address a name of its own.
func ofThisMachine(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	to, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && to.IsLoopback()
}

// administrators serves what do returns, to administrators, as JSON.
func (d *Dashboard) administrators(do func(http.ResponseWriter, *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), adminTimeout)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, bodyMost)
		answer, err := any(nil), d.allowed(r)
		if err == nil {
			answer, err = do(w, r.WithContext(ctx))
		}
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			status := http.StatusBadGateway // a server of ours
			if f, ok := err.(failure); ok {
				status = f.status
			}
			if status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="tidelock"`)
			}
			w.WriteHeader(status)
			answer = map[string]string{"error": err.Error()}
		}
		_ = json.NewEncoder(w).Encode(answer) // a client that has gone
	})
}

// retry puts records that were set aside back in line.
func (d *Dashboard) retry(_ http.ResponseWriter, r *http.Request) (any, error) {
	var asked struct {
		Versions []string `json:"versions"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || len(asked.Versions) == 0 || len(asked.Versions) > retryMost {
		return nil, failure{http.StatusBadRequest, fmt.Sprintf("want {\"versions\": [\"…\"]}, from 1 to %d", retryMost)}
	}
	versions := make([]int64, len(asked.Versions))
	for i, text := range asked.Versions {
		var err error
		if versions[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, failure{http.StatusBadRequest, "a version is not a number"}
		}
	}
	n, err := outbox.Retry(r.Context(), d.cfg.DB, versions...)
	if err != nil {
		return nil, err
	}
	d.log.Info("records_retried", zap.Int64("records", n))
	d.timeline.add(time.Now(), Unknown, "action", fmt.Sprintf("An administrator put %d records back in line.", n))
	return map[string]int64{"retried": n}, nil
}

// act does what a button says.
func (d *Dashboard) act(_ http.ResponseWriter, r *http.Request) (any, error) {
	for _, a := range d.cfg.Actions {
		if a.Name != r.PathValue("name") {
			continue
		}
		if err := a.Do(r.Context()); err != nil {
			return nil, err
		}
		d.log.Info("action_done", zap.String("action", a.Name))
		d.timeline.add(time.Now(), Unknown, "action", "An administrator did: "+a.Label+".")
		return struct{}{}, nil
	}
	return nil, failure{http.StatusNotFound, "there is no such action"}
}

// sighting is a key as it is now. Versions are texts: JavaScript's numbers are not wide enough.
type sighting struct {
	inspect.Inspection
	Version string   `json:"version"`
	Entry   *entry   `json:"entry"`
	Records []record `json:"records"`
	Row     *string  `json:"row,omitempty"` // nil: rows are not known
	RowErr  string   `json:"row_error,omitempty"`
}

type entry struct {
	inspect.Entry
	Version string `json:"version"`
	Size    int    `json:"size"`
}

// payloadMost is how much of a payload is shown.
const payloadMost = 4096

// key shows a key.
func (d *Dashboard) key(_ http.ResponseWriter, r *http.Request) (any, error) {
	key := r.URL.Query().Get("key")
	if err := cache.CheckKey(key); err != nil {
		return nil, failure{http.StatusBadRequest, err.Error()}
	}
	found, err := inspect.Key(r.Context(), d.cfg.DB, d.cfg.Cache, key)
	if err != nil {
		return nil, err
	}
	s := sighting{Inspection: found, Version: strconv.FormatInt(found.Version, 10), Records: records(found.Records)}
	if e := found.Entry; e != nil {
		s.Entry = &entry{Entry: *e, Version: strconv.FormatInt(e.Version, 10), Size: len(e.Payload)}
		s.Entry.Payload = shown(e.Payload)
	}
	if d.cfg.Row != nil {
		row, err := d.cfg.Row(r.Context(), key)
		if s.RowErr = text(err); err == nil {
			row = shown(row)
			s.Row = &row
		}
	}
	return s, nil
}

// shown is the beginning of a payload, with what is not text replaced.
func shown(payload string) string {
	return strings.ToValidUTF8(payload[:min(len(payload), payloadMost)], "\uFFFD")
}
