package drive_test

import (
	"bytes"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nuid"

	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/chaos/history"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

const patience = 30 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a fresh database with the table, a Valkey of its own, for all tests use the same keys, and a folder for the run.
type world struct {
	t   testing.TB
	db  *pgxpool.Pool
	cfg drive.Config
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, db: rig.DB(t)}
	_, err := w.db.Exec(t.Context(), drive.Table)
	must(t, err)
	w.cfg = drive.Config{
		Process: "w0", DatabaseURL: w.db.Config().ConnString(), ValkeyURL: stacktest.OwnValkey(t).URL(), NATSURL: stacktest.NATS(t).URL(), Dir: t.TempDir(),
		Writers: 3, Readers: 3, Keys: 20, Zipf: 0.9, Seed: 1, Pause: time.Millisecond, Timeout: patience / 2,
		Writes: drive.Writes{Multi: 0.3, Delete: 0.1, ReadBack: 0.3, Grace: 100 * time.Millisecond},
		Cache:  drive.Cache{Timeout: 2 * time.Second},
	}.Life(0, 0)
	return w
}

func (w *world) relay() drive.RelayConfig {
	return drive.RelayConfig{Name: "relay0", DatabaseURL: w.cfg.DatabaseURL, ValkeyURL: w.cfg.ValkeyURL, NATSURL: w.cfg.NATSURL, Dir: w.cfg.Dir,
		Stream: "S" + nuid.Next(), Poll: 20 * time.Millisecond, Lease: time.Second}
}

// trusted declares the strict rows and has a relay that guards, and waits until both are in force.
func (w *world) trusted() {
	w.t.Helper()
	must(w.t, outbox.DeclareStrict(w.t.Context(), w.db, drive.StrictPrefix))
	cmd, err := drive.RelayCommand(w.relay())
	start(w.t, cmd, err)
	stacktest.Eventually(w.t, patience, func() bool {
		prefixes, err := outbox.StrictPrefixes(w.t.Context(), w.db)
		must(w.t, err)
		trust, err := outbox.ReadTrust(w.t.Context(), w.db)
		must(w.t, err)
		return prefixes[0].Since != nil && trust.Phase == string(lease.Trusted)
	}, "the cache is trusted")
}

// child is a process under test.
type child struct {
	*exec.Cmd
	t    testing.TB
	log  *lockedBuffer
	done chan struct{}
	err  error // written before done is closed
}

// lockedBuffer may be read while the process writes to it.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// start starts the process that a command was made for, and ends it with the test.
func start(t testing.TB, cmd *exec.Cmd, err error) *child {
	t.Helper()
	must(t, err)
	c := &child{Cmd: cmd, t: t, log: &lockedBuffer{}, done: make(chan struct{})}
	c.Stderr = c.log
	must(t, c.Start())
	go func() {
		defer close(c.done)
		c.err = c.Wait()
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-c.done
		if t.Failed() {
			t.Logf("the process's log:\n%s", c.log)
		}
	})
	return c
}

func (c *child) signal(s os.Signal) {
	c.t.Helper()
	must(c.t, c.Process.Signal(s))
}

// wait returns how the process has ended.
func (c *child) wait() error {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.t.Fatal("the process does not end")
	}
	return c.err
}

// stop tells it to end, and wants it to do so in good order.
func (c *child) stop() {
	c.t.Helper()
	c.signal(syscall.SIGTERM)
	if err := c.wait(); err != nil {
		c.t.Errorf("stopped, it ends with %v", err)
	}
}

// died reports whether it was killed.
func (c *child) died() bool {
	exit, ok := errors.AsType[*exec.ExitError](c.wait())
	return ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

// behindProxies puts a proxy before Postgres, Valkey and NATS each, in this order, for the processes that are started from now on.
func (w *world) behindProxies() []*stack.Proxy {
	w.t.Helper()
	var proxies []*stack.Proxy
	for _, at := range []*string{&w.cfg.DatabaseURL, &w.cfg.ValkeyURL, &w.cfg.NATSURL} {
		u, err := url.Parse(*at)
		must(w.t, err)
		p := rig.Proxy(w.t, u.Host)
		u.Host = p.Addr()
		*at = u.String()
		proxies = append(proxies, p)
	}
	return proxies
}

func (w *world) load() []history.Op {
	w.t.Helper()
	ops, err := history.Load(w.cfg.Dir)
	must(w.t, err)
	return ops
}

// recorded waits until so many operations have returned well.
func (w *world) recorded(n int) {
	w.t.Helper()
	stacktest.Eventually(w.t, patience, func() bool {
		ok := 0
		for _, op := range w.load() {
			if op.Outcome == history.OK {
				ok++
			}
		}
		return ok >= n
	}, "operations are recorded")
}
