package drive

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"sync/atomic"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/chaos/history"
	"github.com/tidelock-cache/tidelock/reader"
)

// driver is what the clients of a process share.
type driver struct {
	cfg     Config
	subject subject
	history *history.Recorder
	ranks   *ranks // of all rows
	strict  *ranks // of those that are strict
	recent  recent
	nextID  atomic.Int64
	log     *zap.Logger
}

// runDriver drives the subject until the process is told to stop.
func runDriver(cfg Config, log *zap.Logger) (err error) {
	p := newProcess(cfg.Points, cfg.Armed, log)
	defer p.close()
	recorder, err := history.NewRecorder(cfg.Dir, cfg.Process)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, recorder.Close()) }()
	s, err := subjects[cfg.subject()](p, cfg, log)
	if err != nil {
		if p.Err() != nil {
			return nil // told to stop before anything was up
		}
		return err
	}
	defer s.close()
	log.Info("driver_started", zap.String("subject", string(cfg.subject())))
	d := &driver{cfg: cfg, subject: s, history: recorder, log: log,
		ranks: newRanks(rowKeys(cfg.keys()), cfg.Zipf), strict: newRanks(strictKeys(cfg.keys()), cfg.Zipf)}
	d.nextID.Store(cfg.firstID() - 1)
	err = d.run(p)
	log.Info("driver_stopped", zap.Error(err))
	return err
}

// run returns when all clients have finished their last calls. Its error is that of the history.
func (d *driver) run(ctx context.Context) error {
	clients, ctx := errgroup.WithContext(ctx)
	for i := range d.cfg.Writers + d.cfg.Readers {
		c := d.newClient(d.cfg.FirstClient + i)
		step := c.readOne
		if i < d.cfg.Writers {
			step = c.writeOne
		}
		clients.Go(func() error { return c.run(ctx, step) })
	}
	<-ctx.Done()
	return clients.Wait()
}

func (d *driver) newClient(number int) *client {
	h := fnv.New64a()
	_, _ = h.Write([]byte(d.cfg.Process))
	return &client{driver: d, number: number, rng: rand.New(rand.NewPCG(d.cfg.Seed, h.Sum64()+uint64(number))),
		session: reader.NewSession(cache.Token{}), seen: make(map[string]int64)}
}
