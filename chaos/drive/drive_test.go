package drive_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/chaos/history"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
)

func TestSubjects(t *testing.T) {
	t.Parallel()
	for _, subject := range []drive.Subject{drive.Tidelock, drive.Naive, drive.Aside, drive.Postgres} {
		t.Run(string(subject), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cfg.Subject = subject
			w.cfg.Writes.Abort, w.cfg.Reads.Many = 0.1, 0.3
			if subject == drive.Tidelock {
				w.trusted()
			}
			cmd, err := drive.Command(w.cfg)
			c := start(t, cmd, err)
			w.recorded(1500)
			c.stop()
			ops := w.load()
			w.sound(ops)
			w.diverse(ops)
			w.versions(ops)
		})
	}
}

// sound checks that nothing was lost, that no client did two things at once, and that each N was given to one write.
func (w *world) sound(ops []history.Op) {
	w.t.Helper()
	type place struct {
		key string
		n   int64
	}
	writes, at := make(map[int64]history.Op), make(map[place]int64)
	lasts := make(map[int]history.Op)
	for _, op := range ops {
		if op.Outcome == history.Unknown || op.Begin <= 0 || op.End < op.Begin || op.Process != "w0" {
			w.t.Errorf("with all servers up and a process that was asked to stop: %+v", op)
		}
		// The rows of one transaction, or of one read, begin and end together.
		if last := lasts[op.Client]; op.Begin < last.End && (op.Begin != last.Begin || op.End != last.End) {
			w.t.Errorf("a client does %+v during %+v", op, last)
		}
		lasts[op.Client] = op
		if op.Kind == history.Read || op.Outcome == history.Fail {
			continue
		}
		writes[op.ID] = op
		if op.N == 0 {
			continue
		}
		if other, taken := at[place{op.Key, op.N}]; taken {
			w.t.Errorf("writes %d and %d both made row %s number %d", other, op.ID, op.Key, op.N)
		}
		at[place{op.Key, op.N}] = op.ID
	}
	for _, op := range ops {
		if op.Kind != history.Read || op.ID == 0 {
			continue
		}
		wrote, known := writes[op.ID]
		if !known || wrote.Key != op.Key || wrote.Kind != history.Write || wrote.N != 0 && wrote.N != op.N {
			w.t.Errorf("%+v reads what was not written: %+v", op, wrote)
		}
	}
	w.table(writes)
}

// table checks that the rows count the writes.
func (w *world) table(writes map[int64]history.Op) {
	w.t.Helper()
	count := make(map[string]int64)
	for op := range maps.Values(writes) {
		count[op.Key]++
	}
	rows, err := w.db.Query(w.t.Context(), `SELECT id, n, op, gone FROM chaos_rows`)
	must(w.t, err)
	defer rows.Close()
	for rows.Next() {
		var key string
		var n, id int64
		var gone bool
		must(w.t, rows.Scan(&key, &n, &id, &gone))
		if last := writes[id]; n != count[key] || last.Key != key || gone != (last.Kind == history.Delete) {
			w.t.Errorf("row %s says %d writes and %t, the history %d and %+v", key, n, gone, count[key], last)
		}
	}
	must(w.t, rows.Err())
}

// diverse checks that there is some of everything.
func (w *world) diverse(ops []history.Op) {
	w.t.Helper()
	seen := make(map[string]int)
	for _, op := range ops {
		seen[string(op.Kind)+" "+string(op.Level)+" "+string(op.Outcome)]++
		if op.Hit {
			seen["hit"]++
			seen[string(op.Level)+" hit"]++
		}
		if op.Level == history.Strict && !strings.HasPrefix(op.Key, drive.StrictPrefix) || (op.Level == history.Within) != (op.Within > 0) {
			w.t.Errorf("%+v", op)
		}
		if op.Kind == history.Read && op.ID == 0 {
			seen["absent"]++
		}
		if op.Outcome == history.Fail && !strings.Contains(op.Err, "on purpose") && !strings.Contains(op.Err, "division by zero") {
			w.t.Errorf("%+v", op)
		}
	}
	wanted := []string{"write  ok", "delete  ok", "write  fail", "read default ok", "read token ok", "read session ok", "read within ok", "read strict ok", "absent"}
	if w.cfg.Subject != drive.Postgres {
		wanted = append(wanted, "hit", "strict hit")
	}
	for _, what := range wanted {
		if seen[what] == 0 {
			w.t.Errorf("there is no %q in %v", what, seen)
		}
	}
}

// versions checks that Tidelock's are in the order of the Ns, and that reads which ask for a version get it.
func (w *world) versions(ops []history.Op) {
	w.t.Helper()
	byKey := make(map[string][]history.Op)
	needs := 0
	for _, op := range ops {
		switch {
		case w.cfg.Subject != drive.Tidelock && (op.Version != 0 || op.Need != 0):
			w.t.Errorf("%s has no versions: %+v", w.cfg.Subject, op)
		case w.cfg.Subject != drive.Tidelock || op.Outcome != history.OK:
		case op.Kind == history.Read && op.ID == 0 && op.Version == 0: // one of several
		case op.Version < op.Need || op.Kind != history.Read && op.Version == 0:
			w.t.Errorf("%+v", op)
		case op.Kind == history.Read && op.Need > 0:
			needs++
		case op.Kind != history.Read && op.N > 0:
			byKey[op.Key] = append(byKey[op.Key], op)
		}
	}
	if w.cfg.Subject == drive.Tidelock && needs == 0 {
		w.t.Error("no read asks for a version")
	}
	for key, writes := range byKey {
		slices.SortFunc(writes, func(a, b history.Op) int { return int(a.N - b.N) })
		for i := range len(writes) - 1 {
			if writes[i].Version >= writes[i+1].Version {
				w.t.Errorf("of row %s number %d has version %d and number %d has %d", key, writes[i].N, writes[i].Version, writes[i+1].N, writes[i+1].Version)
			}
		}
	}
}

func TestOversize(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Writes.Oversize, w.cfg.Cache.PayloadMax = 0.5, 300
	cmd, err := drive.Command(w.cfg)
	c := start(t, cmd, err)
	w.recorded(800)
	c.stop()
	ops := w.load()
	w.sound(ops)
	refused := 0
	for _, op := range ops {
		if op.Outcome == history.Fail && strings.Contains(op.Err, "300") {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no payload was refused")
	}
}

func TestStartsWithEverythingDown(t *testing.T) {
	t.Parallel()
	for _, subject := range []drive.Subject{drive.Tidelock, drive.Naive} {
		t.Run(string(subject), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cfg.Subject = subject
			proxies := w.behindProxies()
			for _, p := range proxies {
				must(t, p.Cut())
			}
			cmd, err := drive.Command(w.cfg)
			c := start(t, cmd, err)
			cmd, err = drive.RelayCommand(w.relay())
			r := start(t, cmd, err)
			time.Sleep(500 * time.Millisecond) // nothing says that they are waiting
			for _, p := range proxies {
				must(t, p.Heal())
			}
			w.recorded(300)
			c.stop()
			r.stop()
		})
	}
}

func TestStopsWhileEverythingIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, p := range w.behindProxies() {
		must(t, p.Cut())
	}
	cmd, err := drive.Command(w.cfg)
	c := start(t, cmd, err)
	cmd, err = drive.RelayCommand(w.relay())
	r := start(t, cmd, err)
	stacktest.Eventually(t, patience, func() bool {
		return strings.Contains(c.log.String(), "start_failed") && strings.Contains(r.log.String(), "relay_started")
	}, "they try")
	c.stop()
	r.stop()
}

// TestRelaySettles has a driver leave records behind, with Valkey cut off, and a relay bring them home.
func TestRelaySettles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.cfg.ValkeyURL
	proxies := w.behindProxies()
	must(t, proxies[1].Cut())
	w.cfg.Cache.Timeout = 50 * time.Millisecond
	cmd, err := drive.Command(w.cfg)
	c := start(t, cmd, err)
	w.recorded(300)
	c.stop()
	deferred := slices.ContainsFunc(w.load(), func(op history.Op) bool { return op.Deferred })
	if pending := w.pending(t.Context()); !deferred || pending == 0 {
		t.Fatalf("with Valkey down %d records are pending, %t", pending, deferred)
	}
	w.cfg.ValkeyURL = home
	cfg := w.relay()
	cmd, err = drive.RelayCommand(cfg)
	r := start(t, cmd, err)
	stacktest.Eventually(t, patience, func() bool { return w.pending(t.Context()) == 0 }, "the relay settles all")
	r.stop()
	var stats relay.Stats
	text, err := os.ReadFile(filepath.Join(cfg.Dir, "relay0.stats.json"))
	must(t, err)
	must(t, json.Unmarshal(text, &stats))
	if stats.Settled == 0 {
		t.Errorf("the relay says %+v", stats)
	}
}

func (w *world) pending(ctx context.Context) int64 {
	w.t.Helper()
	stats, err := outbox.Count(ctx, w.db)
	must(w.t, err)
	return stats.Pending
}

func TestNoFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Dir = filepath.Join(w.cfg.Dir, "none")
	cmd, err := drive.Command(w.cfg)
	c := start(t, cmd, err)
	if exit, ok := errors.AsType[*exec.ExitError](c.wait()); !ok || exit.ExitCode() != 1 {
		t.Errorf("without a history it ends with %v", c.err)
	}
}

// TestOrphan has a shell start the driver and end. Whoever waits for the shell waits for all that write to its output.
func TestOrphan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cmd, err := drive.Command(w.cfg)
	must(t, err)
	shell := exec.Command("sh", "-c", `"$0" & read line`, cmd.Path)
	shell.Env = cmd.Env
	in, err := shell.StdinPipe()
	must(t, err)
	c := start(t, shell, nil)
	w.recorded(10)
	must(t, in.Close())
	_ = c.wait() // the shell's end means nothing: it read no line
	if !strings.Contains(c.log.String(), "driver_stopped") {
		t.Error("the driver has not stopped")
	}
}

func TestConfigs(t *testing.T) {
	t.Parallel()
	good := drive.Config{Process: "w0", Dir: "d", DatabaseURL: "p", ValkeyURL: "v"}
	for want, change := range map[string]func(*drive.Config){
		"Process is empty":     func(c *drive.Config) { c.Process = "" },
		"Dir is empty":         func(c *drive.Config) { c.Dir = "" },
		"DatabaseURL is empty": func(c *drive.Config) { c.DatabaseURL = "" },
		"ValkeyURL is empty":   func(c *drive.Config) { c.ValkeyURL = "" },
		`Subject is "x"`:       func(c *drive.Config) { c.Subject = "x" },
		"Keys":                 func(c *drive.Config) { c.Keys = -1 },
		"Pause":                func(c *drive.Config) { c.Pause = -1 },
		"a share":              func(c *drive.Config) { c.Writes.Delete = 2 },
		"Many":                 func(c *drive.Config) { c.Reads.Many = -1 },
		"Pad":                  func(c *drive.Config) { c.Writes.Pad = -1 },
		`Moment is "x"`:        func(c *drive.Config) { c.Points = []drive.Point{{Moment: "x"}} },
		"Action":               func(c *drive.Config) { c.Points = []drive.Point{{Moment: drive.AfterCommit}} },
	} {
		cfg := good
		change(&cfg)
		if _, err := drive.Command(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("wanted %q, got %v", want, err)
		}
	}
	if _, err := drive.RelayCommand(drive.RelayConfig{Name: "r"}); err == nil {
		t.Error("a relay without a folder is accepted")
	}
	a, b := good.Life(0, 0), good.Life(0, 1)
	if a.FirstID == b.FirstID || a.Seed == b.Seed {
		t.Errorf("two lives are alike: %+v, %+v", a, b)
	}
}
