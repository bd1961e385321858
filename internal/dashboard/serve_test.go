package dashboard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/dashboard"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
)

func TestPageIsGuarded(t *testing.T) {
	t.Parallel()
	s := newSite(t, rig.DB(t), nil, dashboard.Config{})
	for _, file := range []string{"/", "/dashboard/app.js", "/dashboard/style.css", "/dashboard/icon.svg"} {
		status, header, body := s.ask(http.MethodGet, file, "")
		policy := header.Get("Content-Security-Policy")
		if status != http.StatusOK || !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d with %v", file, status, header)
		}
		for _, not := range []string{"https:", "<script>", " style=", "innerHTML", "onclick"} {
			if strings.Contains(body, not) {
				t.Errorf("%s has %q", file, not)
			}
		}
	}
	for _, path := range []string{"/elsewhere", "/dashboard/", "/dashboard/nothing.js"} {
		if status, _, _ := s.ask(http.MethodGet, path, ""); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// TestWhoIsAdministrator asks for everything that is the administrator's, in every way that must not do.
func TestWhoIsAdministrator(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	var done atomic.Int64
	cfg := dashboard.Config{Actions: []dashboard.Action{{Name: "count", Label: "Count", Usable: func() bool { return true },
		Do: func(context.Context) error { done.Add(1); return nil }}}}
	none := newSite(t, db, nil, cfg)
	with, open := *none, *none
	cfg.Token = token
	with.url = none.serve(db, cfg)
	cfg.Token, cfg.Open = "", true
	open.url = none.serve(db, cfg)
	json := []string{"Content-Type", "application/json"}
	for _, c := range []struct {
		name    string
		of      *site
		headers []string
		want    int
		posts   int // where it is another one
	}{
		{"nobody can be", none, bearer, http.StatusForbidden, 0},
		{"no token", &with, nil, http.StatusUnauthorized, 0},
		{"another token", &with, []string{"Authorization", "Bearer another token for tests"}, http.StatusUnauthorized, 0},
		{"no bearer", &with, []string{"Authorization", token}, http.StatusUnauthorized, 0},
		{"an empty one", &with, []string{"Authorization", "Bearer "}, http.StatusUnauthorized, 0},
		{"the token", &with, bearer, http.StatusOK, 0},
		{"the token, from another page", &with, append([]string{"Sec-Fetch-Site", "cross-site"}, bearer...), http.StatusOK, http.StatusForbidden},
		{"the token, from another origin", &with, append([]string{"Origin", "https://elsewhere.example"}, bearer...), http.StatusOK, http.StatusForbidden},
		{"this machine", &open, nil, http.StatusOK, 0},
		{"this machine, by a name of elsewhere", &open, []string{"Host", "elsewhere.example"}, http.StatusForbidden, 0},
		{"this machine, from another page", &open, []string{"Sec-Fetch-Site", "same-site"}, http.StatusOK, http.StatusForbidden},
		{"this machine, from another origin", &open, []string{"Origin", "null"}, http.StatusOK, http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, ask := range []struct{ method, path, body string }{
				{http.MethodGet, "/dashboard/key?key=a", ""}, {http.MethodPost, "/dashboard/admin", ""},
				{http.MethodPost, "/dashboard/retry", `{"versions": ["1"]}`}, {http.MethodPost, "/dashboard/action/count", ""},
			} {
				want, before := c.want, done.Load()
				if ask.method == http.MethodPost && c.posts != 0 {
					want = c.posts
				}
				status, _, body := c.of.ask(ask.method, ask.path, ask.body, append(json, c.headers...)...)
				if status != want {
					t.Errorf("%s %s: %d %s, want %d", ask.method, ask.path, status, body, want)
				}
				if did := done.Load() > before; did != (want == http.StatusOK && strings.HasSuffix(ask.path, "count")) {
					t.Errorf("%s %s: done: %v", ask.method, ask.path, did)
				}
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	s := newSite(t, rig.DB(t), nil, dashboard.Config{})
	r, err := relay.New(relay.Config{DB: s.db, Cache: s.cache, NATS: s.nats})
	if err != nil {
		t.Fatal(err)
	}
	for want, cfg := range map[string]dashboard.Config{"required": {}, "Token": {DB: s.db, Cache: s.cache, NATS: s.nats, Relay: r, Token: "too short"}} {
		if _, err := dashboard.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error that speaks of %q", err, want)
		}
	}
}

func TestRetryAndKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, rig.DB(t), nil, dashboard.Config{Token: token, Row: func(_ context.Context, key string) (string, error) {
		if key != "flight:1" {
			return "", errors.New("no such row")
		}
		return "<b>the row</b>", nil
	}})
	await(t, s.url, "the cache is trusted", func(s shown) bool { return s.State.Verdict.Word == "Trusted" })
	s.write("flight:1", "one\x00\xff")
	version := s.setAside("flight:1", "for the test")
	at := await(t, s.url, "a record is set aside", func(s shown) bool { return s.State.Aside == 1 && len(s.State.Records) == 1 })
	if r := at.State.Records[0]; r.Version != version || r.Aside != "for the test" || r.Key != "flight:1" {
		t.Errorf("the record is shown as %+v", r)
	}
	var key struct {
		Version, Verdict, Row string
		Entry                 struct{ Kind, Payload, Version string }
		Records               []struct{ Aside string }
	}
	status, _, body := s.ask(http.MethodGet, "/dashboard/key?key=flight:1", "", bearer...)
	if err := json.Unmarshal([]byte(body), &key); err != nil || status != http.StatusOK {
		t.Fatalf("%d %v: %s", status, err, body)
	}
	if key.Version != fmt.Sprint(version) || key.Row != "<b>the row</b>" || key.Entry.Payload != "one\x00\uFFFD" || len(key.Records) != 1 || !strings.HasPrefix(key.Verdict, "behind") {
		t.Errorf("the key is shown as %+v", key)
	}
	for _, bad := range []string{"", "{}", `{"versions": []}`, `{"versions": ["x"]}`, `{"versions": [1]}`} {
		if status, _, _ := s.ask(http.MethodPost, "/dashboard/retry", bad, bearer...); status != http.StatusBadRequest {
			t.Errorf("%q: %d", bad, status)
		}
	}
	status, _, body = s.ask(http.MethodPost, "/dashboard/retry", fmt.Sprintf(`{"versions": ["%d"]}`, version), bearer...)
	if status != http.StatusOK || !strings.Contains(body, `"retried":1`) {
		t.Errorf("%d %s", status, body)
	}
	await(t, s.url, "nothing waits", func(s shown) bool { return s.State.Aside == 0 && s.State.Pending == 0 })
	if latest, err := outbox.Latest(t.Context(), s.db, []string{"flight:1"}); err != nil || latest["flight:1"] != version {
		t.Errorf("%v %v", latest, err)
	}
	if status, _, _ := s.ask(http.MethodGet, "/dashboard/key?key=", "", bearer...); status != http.StatusBadRequest {
		t.Errorf("an empty key: %d", status)
	}
	if status, _, _ := s.ask(http.MethodPost, "/dashboard/action/nothing", "", bearer...); status != http.StatusNotFound {
		t.Errorf("an action that there is not: %d", status)
	}
}
