package dashboard

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	since := time.UnixMilli(1234)
	good := sight{told: told{held: true, trust: outbox.Trust{Phase: "trusted", Since: since, Reason: "before"}}}
	for _, c := range []struct {
		name  string
		but   func(*sight)
		level Level
		word  string
		why   string
	}{
		{"all is well", func(*sight) {}, Good, "Trusted", ""},
		{"no postgres", func(s *sight) { s.postgres, s.valkey = errors.New("down"), errors.New("down too") }, Unknown, "Unknown", "down"},
		{"no valkey", func(s *sight) { s.valkey, s.held = errors.New("gone"), false }, Bad, "Cache down", "gone"},
		{"breaker", func(s *sight) { s.breaker = cache.Open }, Bad, "Cache down", "breaker is open"},
		{"no guardian", func(s *sight) { s.held = false }, Warn, "Unguarded", ""},
		{"doubt", func(s *sight) { s.servers = []outbox.Server{{}, {RepairFrom: new(int64(7))}} }, Warn, "Repairing", ""},
		{"another server", func(s *sight) { s.lookups = []cache.Lookups{{RunID: "b"}}; s.servers = []outbox.Server{{RunID: "a"}} }, Warn, "Another server", ""},
		{"suspending", func(s *sight) { s.trust.Phase = "suspending" }, Warn, "Suspending", "before"},
		{"suspended", func(s *sight) { s.trust.Phase = "suspended" }, Warn, "Suspended", "before"},
		{"resuming", func(s *sight) { s.trust.Phase = "resuming" }, Warn, "Recovering", "before"},
		{"draining", func(s *sight) { s.trust.Phase = "draining" }, Warn, "Recovering", "before"},
		{"of another release", func(s *sight) { s.trust.Phase = "new" }, Unknown, "Unknown", "before"},
	} {
		s := good
		c.but(&s)
		v := judge(s)
		if v.Level != c.level || v.Word != c.word || !strings.Contains(v.Why, c.why) || c.why == "" && v.Why != "" {
			t.Errorf("%s: %+v", c.name, v)
		}
		new(spell).date(&v, time.UnixMilli(5678))
		if want := map[bool]int64{true: 1234, false: 5678}[s.postgres == nil && s.valkey == nil && s.breaker == cache.Closed && s.held && s.servers == nil && s.lookups == nil]; v.Since != want {
			t.Errorf("%s: since %d, want %d", c.name, v.Since, want)
		}
	}
}

func TestTimelineIsBounded(t *testing.T) {
	t.Parallel()
	var line timeline
	now := time.Now()
	line.add(now.Add(-eventsFor-time.Second), Good, "cache", "old")
	for range 2 * eventsMost {
		line.add(now, Good, "cache", "new")
	}
	all, fresh := line.news()
	if len(all) != eventsMost || !fresh || slices.ContainsFunc(all, func(e Event) bool { return e.Text == "old" }) {
		t.Errorf("%d events, fresh: %v", len(all), fresh)
	}
	if _, fresh = line.news(); fresh {
		t.Error("what was told is fresh again")
	}
}

func TestTimelineTellsOfDistrust(t *testing.T) {
	t.Parallel()
	var line timeline
	at := time.UnixMilli(1000)
	phase := func(name, reason string, after time.Duration) sight {
		return sight{at: at, nats: true, told: told{held: true, trust: outbox.Trust{Phase: name, Since: at.Add(after), Reason: reason}}}
	}
	looks := []sight{phase("trusted", "first", 0), phase("suspending", "broken", time.Second), phase("suspended", "broken", 2*time.Second),
		phase("trusted", "broken", 5*time.Second), phase("trusted", "again", 9*time.Second), phase("trusted", "again", 9*time.Second)}
	var before *sight
	for i := range looks {
		line.happened(before, looks[i])
		before = &looks[i]
	}
	var texts []string
	for _, e := range line.all() {
		if e.Kind == "trust" {
			texts = append(texts, e.Text)
		}
	}
	want := []string{"The cache is trusted.", "The cache is not trusted: broken.", "The cache is trusted again, after 4s.",
		"The cache is trusted. It was not for a moment: again."}
	if !slices.Equal(texts, want) {
		t.Errorf("the timeline says %q, want %q", texts, want)
	}
}
