package drive

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// orphanLook is how often a process looks whether whoever started it is still there.
const orphanLook = 500 * time.Millisecond

// process is what drivers and relays have in common: they live until they are told to stop, and have points.
type process struct {
	context.Context
	points  *points
	stop    context.CancelFunc
	signals chan os.Signal
	parent  int
	done    sync.WaitGroup
}

func newProcess(list []Point, armed bool, log *zap.Logger) *process {
	ctx, stop := context.WithCancel(context.Background())
	p := &process{Context: ctx, stop: stop, points: newPoints(ctx, list, armed, log), signals: make(chan os.Signal, 16), parent: os.Getppid()}
	signal.Notify(p.signals, unix.SIGTERM, unix.SIGINT, unix.SIGUSR1, unix.SIGUSR2)
	p.done.Go(p.watch)
	return p
}

// watch obeys signals until the process is told to stop, or nobody is there any more to tell it.
func (p *process) watch() {
	defer p.stop()
	look := time.NewTicker(orphanLook)
	defer look.Stop()
	for {
		select {
		case <-p.Done():
			return
		case <-look.C:
			if os.Getppid() != p.parent {
				return
			}
		case s := <-p.signals:
			switch s {
			case unix.SIGUSR1:
				p.points.armed.Store(true)
			case unix.SIGUSR2:
				p.points.armed.Store(false)
			default:
				return
			}
		}
	}
}

func (p *process) close() {
	signal.Stop(p.signals)
	p.stop()
	p.done.Wait()
}
