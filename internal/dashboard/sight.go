package dashboard

import (
	"context"
	_ "embed"
	"sync"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
)

const (
	// lookTimeout bounds the questions of one look.
	lookTimeout = 2500 * time.Millisecond
	// countCost is how much longer than a count the pause after it is: with a million records pending a count is work.
	countCost = 20
	// recordsShown is how many pending records are shown, and how many of those set aside.
	recordsShown = 10
	// underWay is how old a pending record is at least before any is shown: younger ones are on their way.
	underWay = time.Second
)

//go:embed sql/drawn.sql
var drawnSQL string

// sight is what one look has found.
type sight struct {
	at time.Time

	postgres error
	told     // by Postgres; by the last look that it answered while it does not

	valkey  error
	lookups []cache.Lookups
	breaker cache.BreakerState

	nats bool
}

// told is what Postgres tells.
type told struct {
	office  outbox.Office
	held    bool
	trust   outbox.Trust
	servers []outbox.Server
	drawn   int64
	counts  outbox.Stats
	records []outbox.Item
}

// eye looks, and remembers what need not be asked for at every look. It is of one goroutine.
type eye struct {
	*Dashboard
	last    sight
	counted time.Time // when the counting may be done again
}

func (e *eye) look(ctx context.Context) sight {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	s := e.last
	s.at, s.breaker, s.nats = time.Now(), e.cfg.Cache.Breaker(), e.cfg.NATS.IsConnected()
	var asking sync.WaitGroup
	asking.Go(func() { s.lookups, s.valkey = e.cfg.Cache.Lookups(ctx) })
	news := s.told
	if s.postgres = e.ask(ctx, &news); s.postgres == nil {
		s.told = news
	}
	asking.Wait()
	e.last = s
	return s
}

// ask asks Postgres.
func (e *eye) ask(ctx context.Context, s *told) (err error) {
	db := e.cfg.DB
	if s.office, s.held, err = outbox.Guardian(ctx, db); err != nil {
		return err
	}
	if s.trust, err = outbox.ReadTrust(ctx, db); err != nil {
		return err
	}
	if s.servers, err = outbox.Servers(ctx, db); err != nil {
		return err
	}
	if err = db.QueryRow(ctx, drawnSQL).Scan(&s.drawn); err != nil {
		return err
	}
	began := time.Now()
	if began.Before(e.counted) {
		return nil
	}
	defer func() { e.counted = time.Now().Add(countCost * time.Since(began)) }()
	if s.counts, err = outbox.Count(ctx, db); err != nil {
		return err
	}
	s.records, err = e.list(ctx, s.counts)
	return err
}

// list lists the oldest records, those set aside first: somebody has to look at them.
func (e *eye) list(ctx context.Context, counts outbox.Stats) (records []outbox.Item, err error) {
	for _, which := range []struct{ aside, any bool }{{true, counts.Aside > 0}, {false, counts.Oldest > underWay}} {
		if !which.any {
			continue
		}
		some, err := outbox.List(ctx, e.cfg.DB, outbox.Filter{Aside: &which.aside}, recordsShown)
		if err != nil {
			return nil, err
		}
		records = append(records, some...)
	}
	return records, nil
}
