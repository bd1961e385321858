package relay_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/writer"
)

const (
	// These stand in the guardian's statements of these names.
	changedSQL, horizonSQL, movedSQL = "FROM tidelock.versions WHERE xid >=", ") h LEFT JOIN tidelock.servers", "jump AS ("
	officeSQL, registerSQL           = "until = clock_timestamp() +", "INSERT INTO tidelock.servers AS s"
	// guardLease is short where a test waits for the office to be free.
	guardLease = 300 * time.Millisecond
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// siteAt is a site whose cache is at an address, with a database of its own.
func siteAt(t testing.TB, addr string) *site {
	t.Helper()
	return siteOn(t, rig.DB(t), "valkey://"+addr, stacktest.NATS(t).URL())
}

// text returns what a query for one text finds.
func (s *site) text(sql string, args ...any) (text string) {
	s.t.Helper()
	must(s.t, s.db.QueryRow(s.t.Context(), sql, args...).Scan(&text))
	return text
}

// canaryKey is where this database's canary is, without a cluster.
func (s *site) canaryKey() string {
	s.t.Helper()
	return "tidelock:canary:" + s.text(`SELECT g.name || '-' || d.oid FROM tidelock.guardian g, pg_database d WHERE d.datname = current_database()`)
}

// get returns what a server holds at a key, "" for nothing and while it does not answer.
func (s *site) get(client valkey.Client, key string) string {
	s.t.Helper()
	text, _ := client.Do(s.t.Context(), client.B().Get().Key(key).Build()).ToString()
	return text
}

// passed waits until all transactions of this moment have ended, those of other tests' databases too: together they hold the horizon.
func (s *site) passed() {
	s.t.Helper()
	now := s.text("SELECT pg_current_xact_id()::text")
	stacktest.Eventually(s.t, patience, func() bool {
		return s.text("SELECT (pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8)::text", now) == "true"
	}, "the transactions of this moment end")
}

// marked waits for a canary of which all was computed from now on, and returns its horizon. To that end it takes the canary away; the
// one that is left then may have been under way already, the next is not.
func (s *site) marked(client valkey.Client, key string) int64 {
	s.t.Helper()
	for range 2 {
		must(s.t, client.Do(s.t.Context(), client.B().Del().Key(key).Build()).Error())
		stacktest.Eventually(s.t, patience, func() bool { return s.get(client, key) != "" }, "the guardian leaves a canary")
	}
	return horizonIn(s.t, s.get(client, key))
}

func horizonIn(t testing.TB, canary string) int64 {
	t.Helper()
	fields := strings.Fields(canary) // the database's history, the horizon, and in a cluster the shard
	if len(fields) < 2 {
		t.Fatalf("the canary is %q", canary)
	}
	xid, err := strconv.ParseInt(fields[1], 10, 64)
	must(t, err)
	return xid
}

// listed returns the servers on record, by run id.
func (s *site) listed() map[string]outbox.Server {
	s.t.Helper()
	_, servers, err := outbox.Horizon(s.t.Context(), s.db, outbox.Mark{})
	must(s.t, err)
	byID := make(map[string]outbox.Server)
	for _, server := range servers {
		byID[server.RunID] = server
	}
	return byID
}

// mended waits until a server is on record with nothing in doubt.
func (s *site) mended(server *stack.Valkey) outbox.Server {
	s.t.Helper()
	id := runID(s.t, server)
	stacktest.Eventually(s.t, patience, func() bool {
		listed, ok := s.listed()[id]
		return ok && !listed.Doubt()
	}, "the server is on record and repaired")
	s.connected(s.key("any"))
	return s.listed()[id]
}

// connected waits until the cache has found out which of its connections have ended.
func (s *site) connected(keys ...string) {
	s.t.Helper()
	stacktest.Eventually(s.t, patience, func() bool {
		_, err := s.cache.GetMany(s.t.Context(), keys)
		return err == nil
	}, "the cache answers")
}

func runID(t testing.TB, server *stack.Valkey) string {
	t.Helper()
	info, err := server.Info(t.Context(), "server")
	must(t, err)
	return info["run_id"]
}

// settle has the relay settle records whose writers have not.
func (s *site) settle(versions ...int64) {
	s.t.Helper()
	must(s.t, hasten(s.t.Context(), s.db, versions))
	s.drained()
}

// loss is what is written around a moment from which on the cache loses what it is told.
type loss struct {
	s    *site
	w    *writer.Writer
	kept map[string]int64 // keys that do not change any more, and their versions
	lost []string         // keys that change, or come to be, after that moment
}

const lossKeys = 8

// newLoss writes keys by a writer: those that will be kept, and the old values of some that will not.
func (s *site) newLoss() *loss {
	s.t.Helper()
	l := &loss{s: s, w: s.writer(s.cache), kept: make(map[string]int64)}
	for i := range lossKeys {
		key := s.key(fmt.Sprint("kept ", i))
		l.kept[key] = s.stored(l.w, key, "kept")
		l.lost = append(l.lost, s.key(fmt.Sprint("changed ", i)))
		s.stored(l.w, l.lost[i], "old")
	}
	s.drained()
	s.passed()
	return l
}

// stored writes until the cache holds it: the second step of an allocation that takes too long is left out.
func (s *site) stored(w *writer.Writer, key, payload string) (version int64) {
	s.t.Helper()
	stacktest.Eventually(s.t, patience, func() bool {
		version = s.put(w, key, payload).Version()
		e := s.entry(key)
		return e.Hit() && e.Version == version
	}, "the cache holds what was written")
	return version
}

// change writes what the cache will lose, and waits until all of it is settled.
func (l *loss) change() {
	l.s.t.Helper()
	for i := range lossKeys {
		l.lost = append(l.lost, l.s.key(fmt.Sprint("fresh ", i)))
	}
	for _, key := range l.lost {
		l.s.stored(l.w, key, "new")
	}
	l.s.drained()
	for _, key := range l.lost {
		l.s.holds(key, "new")
	}
}

// repaired checks that the keys of which the cache has lost the latest, and no others, were invalidated, and that all goes on as
// usual.
func (l *loss) repaired(looked int64) {
	l.s.t.Helper()
	if looked != int64(len(l.lost)) {
		l.s.t.Errorf("the repair has looked at %d keys; %d have changed", looked, len(l.lost))
	}
	for key, version := range l.kept {
		if e := l.s.entry(key); !e.Hit() || e.Version != version {
			l.s.t.Errorf("%s: nothing was lost, and the cache holds %q of version %d instead of %d", key, string(e.Kind), e.Version, version)
		}
	}
	for _, key := range l.lost {
		if e := l.s.entry(key); e.Hit() {
			l.s.t.Errorf("%s: the cache has %q of version %d", key, e.Payload, e.Version)
		}
	}
	if l.s.t.Failed() {
		return
	}
	for _, key := range l.lost {
		l.s.stored(l.w, key, "newest")
	}
	l.s.drained()
	for _, key := range l.lost {
		l.s.holds(key, "newest")
	}
}

// told logs how long it took from a server's return until it was on record, and until it was repaired.
func (s *site) told(server outbox.Server, back time.Time) {
	s.t.Helper()
	const convergence = 2 * time.Second // on an idle machine a fifth of it
	registered, repaired := server.Since.Sub(back), time.Duration(0)
	if server.Repaired != nil {
		repaired = server.Repaired.Sub(back)
	}
	s.t.Logf("on record %v after the server's answer, repaired after %v", registered.Round(time.Millisecond), repaired.Round(time.Millisecond))
	if max(registered, repaired) > convergence {
		s.t.Errorf("it took more than %v", convergence)
	}
}

// hasOld reports whether the cache serves a value that is not the latest.
func (s *site) hasOld(key, latest string) bool {
	s.t.Helper()
	e := s.entry(key)
	return e.Kind == cache.Value && string(e.Payload) != latest
}
