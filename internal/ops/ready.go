package ops

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
)

// probeTimeout bounds each question to a dependency.
const probeTimeout = time.Second

// Probe is a dependency that readiness is about.
type Probe struct {
	Name string
	// Required says that nothing can be done without it. While another is down the process is degraded, and ready.
	Required bool
	// Check says what is wrong, nil for nothing.
	Check func(ctx context.Context) error
}

// Probes asks the servers that a process works with: Postgres is required. Without a connection to NATS it is not asked for.
func Probes(db outbox.DB, valkey *cache.Cache, conn *nats.Conn) []Probe {
	probes := []Probe{
		{Name: "postgres", Required: true, Check: func(ctx context.Context) error { return outbox.Check(ctx, db) }},
		{Name: "valkey", Check: func(ctx context.Context) error {
			_, err := valkey.Watch(ctx, "", nil)
			return err
		}},
	}
	if conn != nil {
		probes = append(probes, Probe{Name: "nats", Check: func(context.Context) error {
			if !conn.IsConnected() {
				return fmt.Errorf("not connected: %s", conn.Status())
			}
			return nil
		}})
	}
	return probes
}

// State is what readiness comes to.
type State string

// The states of a process.
const (
	Ready    State = "ready"
	Degraded State = "degraded" // some of what it needs is down, and it does its work without
	Unready  State = "unready"
)

// up is what a check says of a dependency that has nothing wrong.
const up = "ok"

// Readiness is the body of /readyz.
type Readiness struct {
	State  State             `json:"state"`
	Checks map[string]string `json:"checks"` // ok, or what is wrong, by dependency
}

// Status is that of the answer: 503 without what is required.
func (r Readiness) Status() int {
	if r.State == Unready {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

// Brief says of what is wrong only that it is, for those who need not know addresses.
func (r Readiness) Brief() Readiness {
	r.Checks = maps.Clone(r.Checks)
	for name, check := range r.Checks {
		if check != up {
			r.Checks[name] = "down"
		}
	}
	return r
}

// Ask probes all dependencies at once.
func Ask(ctx context.Context, probes []Probe) Readiness {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	r := Readiness{State: Ready, Checks: make(map[string]string)}
	var mu sync.Mutex // guards r
	var asking sync.WaitGroup
	for _, p := range probes {
		asking.Go(func() {
			err := p.Check(ctx)
			mu.Lock()
			defer mu.Unlock()
			switch r.Checks[p.Name] = up; {
			case err == nil:
				return
			case p.Required:
				r.State = Unready
			case r.State == Ready:
				r.State = Degraded
			}
			r.Checks[p.Name] = err.Error()
		})
	}
	asking.Wait()
	return r
}
