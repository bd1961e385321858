package chaos

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/valkey-io/valkey-go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/internal/stack"
)

const (
	// auditRule says that what is settled is settled: where no record of a key waits the cache holds nothing older than its version, then
	// or ever after. And that nothing is in the cache before it is committed.
	auditRule = "S"
	// auditPause is the least pause between two looks; a look that takes longer is followed by a pause as long.
	auditPause = 5 * ms
	// auditTimeout bounds one look.
	auditTimeout = 500 * ms
	// auditKeys is how many keys one look is at.
	auditKeys = 128
	// auditKept is how many violations are described.
	auditKept = 50
)

// auditor holds the cache against Postgres while a scenario runs, over connections of its own that no fault of the network reaches.
//
// A look is a snapshot of Postgres and then a pipeline to Valkey. It counts if the server that has answered is the one that was on record in the
// snapshot, with nothing in doubt, and Postgres is of the history that its guardian knows.
type auditor struct {
	scene *scene
	keys  []string // of rows, then of sums
	next  int      // where the next look begins

	db    *pgx.Conn // nil while there is none
	at    string    // where it leads
	cache map[*stack.Valkey]valkey.Client
	first string // the first history of the database
	held  *sight // what the last look saw in the cache, to be held against the next snapshot
	news  *news

	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex // guards what follows
	looks  int
	total  int
	texts  []string
	told   map[string]bool // what has been described, so that what stays wrong counts once
	repair []Repair
}

// audit starts an auditor.
func (s *scene) audit(ctx context.Context) *auditor {
	a := &auditor{scene: s, cache: map[*stack.Valkey]valkey.Client{}, told: map[string]bool{}}
	a.news = &news{of: a, answered: map[string]time.Time{}, noticed: map[string]time.Time{}}
	for i := range s.keys {
		a.keys = append(a.keys, drive.RowKey(i))
	}
	for i := range s.sums {
		a.keys = append(a.keys, drive.SumKey(i))
	}
	ctx, a.stop = context.WithCancel(ctx)
	a.done.Go(func() { a.run(ctx) })
	return a
}

// close ends the looking. It may be called again.
func (a *auditor) close() {
	a.stop()
	a.done.Wait()
}

func (a *auditor) run(ctx context.Context) {
	defer func() {
		for _, c := range a.cache {
			c.Close()
		}
		a.hangUp(context.WithoutCancel(ctx))
	}()
	for {
		began := time.Now()
		if err := a.look(ctx); err != nil {
			a.held = nil // a server is down, or away
			a.scene.log.Debug("audit_failed", zap.Error(err))
		}
		if sleep(ctx, max(auditPause, time.Since(began))) != nil {
			return
		}
	}
}

// look looks at some of the keys, in turn. Its error says that it does not count.
func (a *auditor) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	keys := a.some()
	snapshot, err := a.readPostgres(ctx, keys)
	if err != nil {
		a.hangUp(ctx)
		return err
	}
	a.news.onRecord(snapshot)
	a.violated(snapshot.uncommitted(a.held))
	a.held = nil
	seen, err := a.readCache(ctx, keys)
	if err != nil {
		return err
	}
	a.news.answer(snapshot, seen.run)
	if !snapshot.counts(seen) {
		return nil
	}
	if a.first = orDefault(a.first, snapshot.history); a.first == snapshot.history {
		seen.history, a.held = a.first, seen
	}
	a.violated(snapshot.stale(seen))
	a.mu.Lock()
	a.looks++
	a.mu.Unlock()
	return nil
}

// some are the keys of the next look: all where they are few, else in turn.
func (a *auditor) some() []string {
	if len(a.keys) <= auditKeys {
		return a.keys
	}
	from := a.next
	a.next = (a.next + auditKeys) % len(a.keys)
	if from+auditKeys <= len(a.keys) {
		return a.keys[from : from+auditKeys]
	}
	return append(append([]string(nil), a.keys[from:]...), a.keys[:from+auditKeys-len(a.keys)]...)
}

// violated counts violations and keeps their texts.
func (a *auditor) violated(found []finding) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range found {
		if a.told[f.id] {
			continue
		}
		a.told[f.id] = true
		a.total++
		if len(a.texts) < auditKept {
			a.texts = append(a.texts, fmt.Sprintf("%s at %s", f.text, time.Now().Format("15:04:05.000000")))
		}
	}
}

func (a *auditor) verdict() (total int, texts []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total, a.texts
}

// finding is one violation; what has the same id is the same.
type finding struct{ id, text string }
