package dashboard_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/dashboard"
	"github.com/tidelock-cache/tidelock/internal/rig"
)

// events opens a stream of the dashboard at url and goes through its events until ctx ends or the stream does.
func events(ctx context.Context, t *testing.T, url string) iter.Seq2[string, []byte] {
	t.Helper()
	return func(yield func(string, []byte) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/dashboard/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != "text/event-stream" {
			t.Fatalf("the stream is %s, %s", res.Status, got)
		}
		var name string
		lines := bufio.NewScanner(res.Body)
		for lines.Buffer(nil, 4<<20); lines.Scan(); {
			if of, ok := bytes.CutPrefix(lines.Bytes(), []byte("event: ")); ok {
				name = string(of)
			}
			if data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok && !yield(name, data) {
				return
			}
		}
	}
}

// TestStreamTellsTheState takes servers away, and two relays tell of each other.
func TestStreamTellsTheState(t *testing.T) {
	t.Parallel()
	s := newSite(t, rig.DB(t), nil, dashboard.Config{Name: "one"})
	second := s.serve(s.db, dashboard.Config{Name: "two"})
	at := await(t, second, "the cache is trusted, and both relays are there", func(s shown) bool {
		return s.State.Verdict.Level == dashboard.Good && len(s.State.Relays) == 2 && s.Sample.Hits != nil && s.Sample.Behind != nil && s.State.Audit != nil
	})
	if r := at.State.Relays; !r[0].Self || r[0].Name != "two" || r[1].Name != "one" || r[0].Guardian == r[1].Guardian {
		t.Errorf("the relays are shown as %+v", r)
	}
	s.write("flight:1", "one")
	if err := s.valkey.Kill(); err != nil {
		t.Fatal(err)
	}
	await(t, s.url, "Valkey is down", func(s shown) bool { return s.State.Verdict.Level == dashboard.Bad && s.Sample.Hits == nil })
	if !s.write("flight:1", "two").Deferred() {
		t.Error("a write with Valkey down was not deferred")
	}
	await(t, s.url, "a record waits", func(s shown) bool { return len(s.State.Records) == 1 && s.State.Pending == 1 && s.State.Valkey != "" })
	if err := s.valkey.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	at = await(t, s.url, "all is well again", func(s shown) bool { return s.State.Verdict.Level == dashboard.Good && s.State.Pending == 0 })
	if at.State.Relays[0].Settled+at.State.Relays[1].Settled == 0 {
		t.Errorf("no relay has brought the record: %+v", at.State.Relays)
	}
	var past struct {
		Name, Admin string
		Samples     []dashboard.Sample
		Timeline    []dashboard.Event
	}
	for name, data := range events(t.Context(), t, s.url) {
		if err := json.Unmarshal(data, &past); err != nil || name != "past" {
			t.Fatalf("a stream begins with %s: %v", name, err)
		}
		break
	}
	if past.Name != "one" || past.Admin != "none" || len(past.Samples) < 3 {
		t.Errorf("a stream begins with %s, %s, %d samples", past.Name, past.Admin, len(past.Samples))
	}
	for _, want := range []string{"Valkey does not answer", "Valkey answers again", "The cache is trusted", "The server on record", "The repair has ended"} {
		if !slices.ContainsFunc(past.Timeline, func(e dashboard.Event) bool { return strings.Contains(e.Text, want) }) {
			t.Errorf("the timeline lacks %q: %+v", want, past.Timeline)
		}
	}
}

// TestStreamsAreBounded opens more streams than there may be.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t, rig.DB(t), nil, dashboard.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	refused := 0
	for range 70 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/dashboard/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode == http.StatusServiceUnavailable {
			refused++
		}
	}
	if refused != 6 {
		t.Errorf("%d of 70 streams were refused, want 6", refused)
	}
}
