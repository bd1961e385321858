package drive

import (
	"context"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// points are a process's points, while it runs.
type points struct {
	list  []point
	armed atomic.Bool
	ended <-chan struct{} // ends pauses
	log   *zap.Logger
}

type point struct {
	Point
	times *atomic.Int64
}

// newPoints makes points whose pauses end with ctx.
func newPoints(ctx context.Context, list []Point, armed bool, log *zap.Logger) *points {
	p := &points{ended: ctx.Done(), log: log}
	p.armed.Store(armed)
	for _, one := range list {
		p.list = append(p.list, point{Point: one, times: new(atomic.Int64)})
	}
	return p
}

// has reports whether anything may happen at the moment.
func (p *points) has(m Moment) bool {
	for _, one := range p.list {
		if one.Moment == m {
			return true
		}
	}
	return false
}

// reach is called at each moment, and may not return.
func (p *points) reach(m Moment) {
	if !p.armed.Load() {
		return
	}
	for _, one := range p.list {
		if one.Moment != m || rand.Float64() >= one.Share || one.Limit > 0 && one.times.Add(1) > int64(one.Limit) {
			continue
		}
		p.log.Info("point_reached", zap.String("moment", string(m)), zap.String("action", string(one.Action)), zap.Duration("for", one.For))
		if one.Action == Kill {
			die()
		}
		select {
		case <-time.After(one.For):
		case <-p.ended:
		}
	}
}

// die ends the process as the kernel would: nothing is flushed, nobody is told.
func die() {
	_ = unix.Kill(os.Getpid(), unix.SIGKILL) // the signal cannot be refused
	select {}
}
