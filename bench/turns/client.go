package turns

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
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

	cell    Cell
	zipf    *rand.Zipf
	payload []byte
	times   *hdrhistogram.Histogram
	seq     uint64
}

func newClient(cell Cell, n int) *Client {
	r := rand.New(rand.NewPCG(uint64(n), uint64(cell.Keys)))
	c := &Client{Rand: r, cell: cell, payload: make([]byte, cell.Payload), times: hdrhistogram.New(1, int64(time.Minute/tick), 3)}
	for i := range c.payload {
		c.payload[i] = 'a' + byte(r.IntN(26))
	}
	if cell.Zipf {
		c.zipf = rand.NewZipf(r, zipfExponent, 1, uint64(cell.Keys-1))
	}
	return c
}

// Key returns the number of the next key. Popular keys are strewn over the table, as they are in life.
func (c *Client) Key() int {
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
	for begun := time.Now(); begun.Before(until); {
		if err := s.Do(ctx, c); err != nil {
			return err
		}
		ended := time.Now()
		if ended.After(from) && ended.Before(until) {
			if err := c.times.RecordValue(int64(ended.Sub(begun) / tick)); err != nil {
				return err
			}
		}
		begun = ended
	}
	return nil
}
