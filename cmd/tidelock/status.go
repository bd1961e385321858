package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

type statusCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// status is what there is to know of a running Tidelock, as seen from outside.
type status struct {
	Guardian string         `json:"guardian"` // empty: nobody holds the office
	Term     int64          `json:"term"`
	Trust    trustStatus    `json:"trust"`
	Lease    *lease.Reply   `json:"lease,omitempty"` // what a process is granted that asks now
	LeaseErr string         `json:"lease_error,omitempty"`
	Origin   string         `json:"database_history"`
	Horizon  int64          `json:"horizon_xid"`
	Pending  int64          `json:"pending"`
	Oldest   time.Duration  `json:"oldest_ns"`
	Aside    int64          `json:"set_aside"`
	Servers  []serverStatus `json:"servers"`
	Cache    string         `json:"cache_error,omitempty"`
}

// trustStatus says whether reads with a promise are served from the cache.
type trustStatus struct {
	Phase  string    `json:"phase"` // trusted, suspending, suspended, resuming, draining; unknown without a guardian
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"` // why it could not be trusted the last time
}

// serverStatus is one server: the one on record, beside the one that answers.
type serverStatus struct {
	Shard    string     `json:"shard"`
	RunID    string     `json:"run_id"`
	Since    time.Time  `json:"since"`
	State    string     `json:"state"` // good, repairing, or another: the server that answers is not on record
	Looked   int64      `json:"keys_looked_at"`
	Repaired *time.Time `json:"repaired_at,omitempty"`
	Canary   string     `json:"canary,omitempty"`
}

// Run prints who guards, which servers are on record and what waits.
func (c statusCmd) Run(ctx context.Context, s *Settings) error {
	valkey, err := s.cache(ctx, time.Second, zap.NewNop())
	if err != nil {
		return err
	}
	defer valkey.Close()
	var st status
	err = onDatabase(ctx, s, func(ctx context.Context, db outbox.DB) error {
		office, err := st.database(ctx, db)
		if err != nil {
			return err
		}
		found, err := valkey.Watch(ctx, office.Database, nil)
		if err != nil {
			st.Cache = err.Error()
		}
		for _, f := range found {
			st.meet(f.Shard, f.RunID, f.Canary)
		}
		st.ask(ctx, s, office.Database)
		return nil
	})
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(st)
	}
	return st.print()
}

func (st *status) database(ctx context.Context, db outbox.DB) (outbox.Office, error) {
	office, held, err := outbox.Guardian(ctx, db)
	if err != nil {
		return office, err
	}
	st.Term, st.Origin = office.Term, office.Origin
	trust, err := outbox.ReadTrust(ctx, db)
	if err != nil {
		return office, err
	}
	st.Trust = trustStatus{Phase: "unknown", Since: trust.Since, Reason: trust.Reason}
	if held {
		st.Guardian, st.Trust.Phase = office.Holder, trust.Phase
	}
	mark, servers, err := outbox.Horizon(ctx, db, outbox.Mark{})
	if err != nil {
		return office, err
	}
	st.Horizon = mark.Xid
	for _, s := range servers {
		state := "good"
		if s.Doubt() {
			state = "repairing"
		}
		st.Servers = append(st.Servers, serverStatus{Shard: s.Shard, RunID: s.RunID, Since: s.Since, State: state, Looked: s.Looked, Repaired: s.Repaired})
	}
	counts, err := outbox.Count(ctx, db)
	st.Pending, st.Oldest, st.Aside = counts.Pending, counts.Oldest, counts.Aside
	return office, err
}

// ask asks for a lease, as any process would.
func (st *status) ask(ctx context.Context, s *Settings, database string) {
	conn, err := s.nats(zap.NewNop())
	if err != nil {
		st.LeaseErr = err.Error()
		return
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, lease.Length)
	defer cancel()
	reply, err := lease.Ask(ctx, conn, database)
	if err != nil {
		st.LeaseErr = err.Error()
		return
	}
	st.Lease = &reply
}

// leases says what a process is granted that asks now.
func (st *status) leases() string {
	switch l := st.Lease; {
	case l == nil:
		return "none is granted: " + st.LeaseErr
	case l.Suspended:
		return "for knowing that nobody trusts the cache"
	default:
		return fmt.Sprintf("for trust; what was committed %v ago is settled; strict prefixes: %q", l.Behind.Round(time.Millisecond), l.Strict)
	}
}

// meet notes what a server says of itself.
func (st *status) meet(shard, runID, canary string) {
	for i := range st.Servers {
		if s := &st.Servers[i]; s.Shard == shard {
			s.Canary = canary
			if s.RunID != runID {
				s.State = "another"
			}
			return
		}
	}
	st.Servers = append(st.Servers, serverStatus{Shard: shard, RunID: runID, State: "another", Canary: canary})
}

// meanings explains the states to people.
var meanings = map[string]string{
	"good":      "on record, nothing in doubt",
	"repairing": "on record, being repaired",
	"another":   "another server answers than the one on record: a guardian will see to it",
}

func (st *status) print() error {
	guardian := st.Guardian
	if guardian == "" {
		guardian = "nobody: is a relay running?"
	}
	fmt.Printf("guardian   %s, term %d\n", guardian, st.Term)
	fmt.Printf("trust      %s for %v; it was not before because of: %s\n", st.Trust.Phase, time.Since(st.Trust.Since).Round(time.Second), st.Trust.Reason)
	fmt.Printf("leases     %s\n", st.leases())
	fmt.Printf("database   %s, horizon %d\n", st.Origin, st.Horizon)
	fmt.Printf("pending    %d", st.Pending)
	if st.Pending > 0 {
		fmt.Printf(", the oldest for %v", st.Oldest.Round(time.Millisecond))
	}
	fmt.Printf("\nset aside  %d\n", st.Aside)
	if st.Cache != "" {
		fmt.Printf("cache      %s\n", st.Cache)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nSHARD\tRUN ID\tSINCE\tKEYS REPAIRED\tSTATE")
	for _, s := range st.Servers {
		since := "-"
		if !s.Since.IsZero() {
			since = time.Since(s.Since).Round(time.Second).String()
		}
		fmt.Fprintf(w, "%s\t%.12s\t%s\t%d\t%s\n", orDash(s.Shard), s.RunID, since, s.Looked, meanings[s.State])
	}
	return w.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
