package stack

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	chunkSize = 32 << 10
	// chunksUnderWay bounds what one direction of a slow connection holds back.
	chunksUnderWay = 256
	// dripSize is how many bytes drip at a time: fewer than the shortest message of any protocol here.
	dripSize = 3
	// dripSlack is how far the drip may be behind its rate and still catch up.
	dripSlack = 10 * time.Millisecond
)

// way is one direction of a link.
type way struct {
	link      *link
	direction Direction
	from, to  net.Conn  // to is nil where there is no server, and all is lost
	nextDrip  time.Time // when the next bytes may pass; belongs to pass
}

// chunk is data on its way.
type chunk struct {
	data    []byte
	arrived time.Time
}

// pass moves data until its source ends. Reading and writing are apart so that latency delays data without limiting its
// flow.
func (w *way) pass() {
	chunks := make(chan chunk, chunksUnderWay)
	var reading sync.WaitGroup
	var readErr error
	reading.Go(func() {
		defer close(chunks)
		readErr = read(w.from, chunks)
	})
	for c := range chunks {
		w.send(c)
	}
	reading.Wait()
	w.end(readErr)
}

// read hands on what arrives until the source ends. The end of a stream that is in order is no error.
func read(from net.Conn, chunks chan<- chunk) error {
	buf := make([]byte, chunkSize)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			chunks <- chunk{data: bytes.Clone(buf[:n]), arrived: time.Now()}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// send writes a chunk, as far as the faults of the time that this takes let it pass.
func (w *way) send(c chunk) {
	for data := c.data; len(data) > 0; {
		n := min(w.hold(c.arrived), len(data))
		if n == 0 {
			return
		}
		if _, err := w.to.Write(data[:n]); err != nil {
			w.fail()
			return
		}
		data = data[n:]
	}
}

// fail ends the link after an error, unless the news of it are lost as data would be.
func (w *way) fail() {
	if w.hold(time.Now()) > 0 {
		w.link.reset()
	}
}

// end passes the end of a stream on. It travels like data, and when it is lost like data the other side goes on
// believing in the connection until the link is reset.
func (w *way) end(readErr error) {
	if w.hold(time.Now()) == 0 {
		<-w.link.done
		return
	}
	half, ok := w.to.(*net.TCPConn)
	if readErr != nil || !ok {
		w.link.reset()
		return
	}
	_ = half.CloseWrite()
}

// hold waits as long as what arrived at the given time is to be held back, and returns how many bytes may pass then: 0
// when they are lost.
func (w *way) hold(arrived time.Time) int {
	for {
		f, changed, lost := w.fault()
		if lost {
			return 0
		}
		n, due := chunkSize, arrived
		switch f.kind {
		case slow:
			due = arrived.Add(f.latency)
		case drip:
			n, due = dripSize, w.nextDrip
		default:
			return n
		}
		select {
		case <-time.After(time.Until(due)):
			w.paceAfter(due, f)
			return n
		case <-changed:
		case <-w.link.done:
			return 0
		}
	}
}

// paceAfter says when the next bytes may drip. Timers are late, so a little of what was missed may be made up for.
func (w *way) paceAfter(due time.Time, f fault) {
	if earliest := time.Now().Add(-dripSlack); due.Before(earliest) {
		due = earliest
	}
	w.nextDrip = due.Add(f.pace * dripSize)
}

// fault returns the fault of the moment, what is closed when it ends, and whether it swallows what is on its way here.
// Then it notes that the link has lost something, for only then is it asked.
func (w *way) fault() (f fault, changed <-chan struct{}, lost bool) {
	l, p := w.link, w.link.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault.swallows(w.direction) {
		l.lost[w.direction] = true
	}
	return p.fault, p.changed, l.lost[w.direction]
}
