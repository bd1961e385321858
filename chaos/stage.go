package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/valkey-io/valkey-go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/chaos/history"
	"github.com/tidelock-cache/tidelock/internal/stack"
)

// Stage is what one branch of a scenario's faults works with: the servers and processes of the scenario, and luck of its own.
type Stage struct {
	*scene
	rand *rand.Rand
}

// scene is everything that one scenario runs on.
type scene struct {
	dir   string // the histories, the events, the logs
	log   *zap.Logger
	until time.Time // when the faults are over

	postgres, standby *stack.Postgres
	ownPostgres       bool
	database          string // its name
	valkey, replica   *stack.Valkey
	replication       *stack.Proxy // between the two
	sentinel          *stack.Sentinel
	clock             *stack.Clock
	nats              *stack.NATS
	nodes             []*node
	clients           map[*stack.Valkey]valkey.Client
	other             string // the program of the other build, empty for our own
	traffic           Traffic
	keys, sums        int   // how many rows there are, and aggregates
	lull              int   // how many times as long as usual the traffic runs undisturbed
	calm              int64 // when the faults began
	auditor           *auditor
	background        []<-chan struct{} // what faults have left running

	mu          sync.Mutex // guards what follows
	primary     *stack.Valkey
	databaseURL string    // on the Postgres of the moment
	promoted    bool      // that is the standby
	loss        *loss     // what it lacks
	open        []setback // the losses of data that are not repaired yet
	faults      int
	err         error // the first event that could not be recorded
}

// branch is a stage for faults that happen at the same time: with luck of its own, so that their order does not matter.
func (s *Stage) branch() *Stage {
	return &Stage{scene: s.scene, rand: rand.New(rand.NewPCG(s.rand.Uint64(), s.rand.Uint64()))}
}

// over reports whether the time of the faults is over.
func (s *scene) over() bool { return !time.Now().Before(s.until) }

// sleep lets some time pass, but no more than the faults have left.
func (s *scene) sleep(ctx context.Context, d time.Duration) error {
	return sleep(ctx, min(d, time.Until(s.until)))
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin and end mark a fault in the history.
func (s *scene) begin(name string) { s.record(history.Event{Name: name, Begin: true}) }
func (s *scene) end(name string)   { s.record(history.Event{Name: name}) }

// setback is a time in which entries may go back in version.
type setback struct {
	name string
	// mends says that it ends with the repair, else with the faults.
	mends bool
}

// lose marks that entries may go back from here on.
func (s *scene) lose(b setback) {
	s.record(history.Event{Name: b.name, Begin: true, Rollback: true})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = append(s.open, b)
}

// repaired marks that what was lost has been repaired: all of it, or what ends with a repair.
func (s *scene) repaired(all bool) {
	s.mu.Lock()
	var over, open []setback
	for _, b := range s.open {
		if all || b.mends {
			over = append(over, b)
		} else {
			open = append(open, b)
		}
	}
	s.open = open
	s.mu.Unlock()
	for _, b := range over {
		s.record(history.Event{Name: b.name, Rollback: true})
	}
}

func (s *scene) record(e history.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Begin {
		s.faults++
	}
	e.At = history.Now()
	s.log.Debug("fault", zap.String("name", e.Name), zap.Bool("begin", e.Begin))
	s.err = errors.Join(s.err, history.RecordEvent(s.dir, e))
}

// count counts one of the faults that a loop is made of.
func (s *scene) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults++
}

// primaryIs tells the conductor which Valkey counts.
func (s *scene) primaryIs(v *stack.Valkey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.primary = v
}

// client talks to the Valkey that counts.
func (s *scene) client() valkey.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients[s.primary]
}

// primaryURL is where the Valkey is that counts.
func (s *scene) primaryURL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.primary.URL()
}

// databaseAt is where the Postgres is that counts.
func (s *scene) databaseAt() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.databaseURL
}

// databaseIs tells the conductor which Postgres counts.
func (s *scene) databaseIs(p *stack.Postgres) error {
	at, err := urlOf(p, s.database)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.databaseURL, s.promoted = at, p == s.standby
	return nil
}

// servers are those of the scenario, by name. A Postgres that all share is none of them.
func (s *scene) servers() map[string]server {
	all := map[string]server{}
	if s.valkey != nil {
		all["valkey"] = s.valkey
	}
	if s.nats != nil {
		all["nats"] = s.nats
	}
	if s.ownPostgres {
		all["postgres"] = s.postgres
	}
	if s.replica != nil {
		all["replica"] = s.replica
	}
	if s.standby != nil {
		all["standby"] = s.standby
	}
	if s.sentinel != nil {
		all["sentinel"] = s.sentinel
	}
	return all
}

// logPath is where a process of ours logs.
func (s *scene) logPath(name string) string { return filepath.Join(s.dir, name+".log") }

func (s *scene) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return fmt.Errorf("recording the events: %w", s.err)
	}
	return nil
}
