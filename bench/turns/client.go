package turns

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// zipfExponent makes a tenth of ten thousand keys take about four fifths of the requests.
const zipfExponent = 1.07

// tick is the unit of the histograms.
const tick = 100 * time.Nanosecond

// Client is one caller in a closed loop: it begins the next operation when the last one has ended. Do may use it without locks.
type Client struct {
	Rand *rand.Rand
	N    int // its number, from 0

	cell    Cell
	swept   int // how many keys of a sweep it has had
	zipf    *rand.Zipf
	payload []byte
	times   *hdrhistogram.Histogram
	seq     uint64
	done    int // operations of a turn, also those that do not count
	late    int // of a turn: ended by their own deadline
}

// NewClient returns the caller of this number in a cell.
func NewClient(cell Cell, n int) *Client {
	r := rand.New(rand.NewPCG(uint64(n), uint64(cell.Keys)))
	c := &Client{Rand: r, N: n, cell: cell, payload: make([]byte, cell.Payload), times: hdrhistogram.New(1, int64(time.Minute/tick), 3)}
	for i := range c.payload {
		c.payload[i] = 'a' + byte(r.IntN(26))
	}
	if cell.Zipf {
		c.zipf = rand.NewZipf(r, zipfExponent, 1, uint64(cell.Keys-1))
	}
	return c
}

// Key returns the number of the next key, which is another client's too, unless the cell is swept. Popular keys are strewn over the table, as they are in life.
func (c *Client) Key() int {
	if c.cell.Sweep {
		c.swept++
		return (c.N + (c.swept-1)*c.cell.Clients) % c.cell.Keys
	}
	if c.zipf == nil {
		return c.Rand.IntN(c.cell.Keys)
	}
	const prime = 1_000_003
	return int(c.zipf.Uint64() * prime % uint64(c.cell.Keys))
}

// Payload returns a payload of the cell's size, another one each time; it is good until the next call.
func (c *Client) Payload() []byte {
	c.seq++
	var head [8]byte
	binary.BigEndian.PutUint64(head[:], c.Rand.Uint64()+c.seq)
	if len(c.payload) >= 16 {
		hex.Encode(c.payload, head[:])
	}
	return c.payload
}

func (c *Client) run(ctx context.Context, s Subject, from, until time.Time) error {
	c.times.Reset()
	c.done, c.late = 0, 0
	for begun := time.Now(); begun.Before(until) && ctx.Err() == nil; {
		err := s.Do(ctx, c)
		ended := time.Now()
		switch {
		case err != nil && (ctx.Err() != nil || !TimedOut(err)):
			return err
		case err != nil:
			c.late++
		default:
			c.done++
			c.note(ended.Sub(begun), ended.After(from) && ended.Before(until))
		}
		begun = ended
	}
	return nil
}

// note counts an operation that has ended within the measured time.
func (c *Client) note(took time.Duration, counts bool) {
	if counts {
		_ = c.times.RecordValue(min(int64(took/tick), c.times.HighestTrackableValue())) // fails beyond that alone
	}
}

// TimedOut reports whether an operation has failed for want of time. Where the machine has none to spare that says nothing against a subject.
func TimedOut(err error) bool {
	network, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && network.Timeout()
}

// Own returns n keys of which no other client has one, each once.
func (c *Client) Own(n int) []int {
	share := c.cell.Keys / c.cell.Clients
	from := c.Rand.IntN(share)
	keys := make([]int, min(n, share))
	for i := range keys {
		keys[i] = c.N*share + (from+i)%share
	}
	return keys
}
