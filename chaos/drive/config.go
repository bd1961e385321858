package drive

import (
	"errors"
	"fmt"
	"time"
)

// Subject is a way to keep rows and cache in step.
type Subject string

const (
	// Tidelock goes through the packages writer and reader.
	Tidelock Subject = "tidelock"
	// Naive writes to Postgres and then sets the cache.
	Naive Subject = "naive"
	// Aside writes to Postgres and then deletes the key in the cache; readers fill it.
	Aside Subject = "aside"
	// Postgres has no cache.
	Postgres Subject = "postgres"
)

// Table creates the table that the subjects write to, and the one that sums are made of.
const Table = `CREATE TABLE chaos_rows (id text PRIMARY KEY, n bigint NOT NULL, op bigint NOT NULL, gone boolean NOT NULL, pad text NOT NULL);
CREATE TABLE chaos_parts (id text, who text, n bigint NOT NULL, PRIMARY KEY (id, who))`

// Config is what a driver is told. The zero value of a field means its default, or none of it.
type Config struct {
	// Process is the process's name in the history. Required.
	Process string
	// Subject is the way to write and read. Default Tidelock.
	Subject Subject
	// DatabaseURL and ValkeyURL are required; ValkeyURL not for Postgres. NATSURL lets writers announce deferred writes, and has leases: without it there
	// are no reads of the levels that need them, and no writes to strict rows.
	DatabaseURL, ValkeyURL, NATSURL string
	// Dir is the run's folder. Required.
	Dir string

	// Writers and Readers are how many clients of each kind the process has. Only the clients of one process know each other's tokens.
	Writers, Readers int
	// FirstClient is the number of the first client, which differs between the lives of a process. See Life.
	FirstClient int
	// FirstID is the ID of the first write. The IDs of all processes and their lives must differ. Default 1. See Life.
	FirstID int64
	// Keys is how many rows there are: see RowKey. Default 100.
	Keys int
	// Zipf is how uneven their use is: the row of rank r is used in proportion to r^-Zipf. 0 is even.
	Zipf float64
	// Sums is how many aggregates there are: sum:0, sum:1 and so on, each the sum of a counter of every client's. They are not in the history.
	Sums int
	// Seed decides what clients do, though not how their doings interleave.
	Seed uint64
	// Pause is the mean of a client's pauses between two operations; they are distributed exponentially.
	Pause time.Duration
	// Timeout bounds each operation, and a COMMIT. Default 5 s.
	Timeout time.Duration
	// SettleTimeout is that of writer.Config and reader.Config.
	SettleTimeout time.Duration
	// Conns is the most connections to Postgres. Default 4 more than there are clients, at most 20.
	Conns int

	Writes Writes
	Reads  Reads
	Cache  Cache

	// Points are where the process is to die or to pause.
	Points []Point
	// Armed says whether they count from the start, or from the first SIGUSR1.
	Armed bool
}

// Writes says how rows are written. Shares are of 1.
type Writes struct {
	// Put, Write and Record are the weights of the three ways to write. Default 1 each. The other subjects have but one way.
	Put, Write, Record float64
	// Multi is the share of the transactions by way of Write and Record, and of all for the other subjects, that change two or three rows.
	Multi float64
	// Delete is the share that marks rows as gone.
	Delete float64
	// Oversize is the share whose payload is over Cache.PayloadMax. A Put of it is refused and fails, the other ways invalidate the key.
	Oversize float64
	// Abort is the share that is rolled back on purpose, or by Postgres for a mistake in the statement: it fails, and nobody may ever see it.
	Abort float64
	// ReadBack is the share of writes after which the writer reads one of its rows, with its session or the write's token.
	ReadBack float64
	// Pad is the size of a row's padding. Default 16 bytes.
	Pad int
	// AllocateOnRead leaves keys that the cache does not hold to their first reader.
	AllocateOnRead bool
	// Sum is the share of transactions that change aggregates, by way of Refresh, if there are any.
	Sum float64
	// Grace is writer.Config.Grace.
	Grace time.Duration
}

// Reads says how rows are read.
type Reads struct {
	// Default, Token, Session, Within and Strict are the weights of the levels. Default 1 each. Strict reads are of strict rows, the others of all.
	Default, Token, Session, Within, Strict float64
	// Many is the share of reads that ask for several rows at once; what it finds absent has no version.
	Many float64
	// ManyKeys is how many rows those reads ask for. Default 3.
	ManyKeys int
}

// Cache says how the cache is used.
type Cache struct {
	// TTL is the entries' time to live. Default 1 h.
	TTL time.Duration
	// AbsentTTL is that of keys without a row. Default 30 s.
	AbsentTTL time.Duration
	// Timeout bounds each call to Valkey. Default 50 ms.
	Timeout time.Duration
	// PayloadMax is the largest payload in bytes. Default 1 MiB.
	PayloadMax int
	// PlaceholderTTL is cache.Config.PlaceholderTTL.
	PlaceholderTTL time.Duration
}

// Life returns the settings of one life of a process, from 0: what must differ between all processes of a run, which are numbered from 0
// too, and between their lives. Each life has room for 2³² writes.
func (c Config) Life(process, life int) Config {
	c.FirstClient = life * (c.Writers + c.Readers)
	c.FirstID = int64(process+1)<<44 | int64(life)<<32 | 1
	c.Seed += uint64(life) << 32
	return c
}

func (c Config) subject() Subject       { return orDefault(c.Subject, Tidelock) }
func (c Config) firstID() int64         { return orDefault(c.FirstID, 1) }
func (c Config) keys() int              { return orDefault(c.Keys, 100) }
func (c Config) timeout() time.Duration { return orDefault(c.Timeout, 5*time.Second) }
func (c Config) conns() int             { return orDefault(c.Conns, min(c.Writers+c.Readers+4, 20)) }
func (w Writes) pad() int               { return orDefault(w.Pad, 16) }
func (r Reads) manyKeys() int           { return orDefault(r.ManyKeys, 3) }
func (c Cache) ttl() time.Duration      { return orDefault(c.TTL, time.Hour) }
func (c Cache) timeout() time.Duration  { return orDefault(c.Timeout, 50*time.Millisecond) }
func (c Cache) payloadMax() int         { return orDefault(c.PayloadMax, 1<<20) }

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (c Config) validate() error {
	switch {
	case c.Process == "":
		return errors.New("drive: Process is empty: give the process a name")
	case c.Dir == "":
		return errors.New("drive: Dir is empty: give the run's folder")
	case c.DatabaseURL == "":
		return errors.New("drive: DatabaseURL is empty")
	case c.ValkeyURL == "" && c.subject() != Postgres:
		return errors.New("drive: ValkeyURL is empty")
	case subjects[c.subject()] == nil:
		return fmt.Errorf("drive: Subject is %q: there is no such subject", c.Subject)
	case c.Writers < 0 || c.Readers < 0 || c.Keys < 0 || c.Sums < 0 || c.Conns < 0:
		return errors.New("drive: Writers, Readers, Keys, Sums and Conns must not be negative")
	case c.Pause < 0 || c.Timeout < 0 || c.SettleTimeout < 0:
		return errors.New("drive: Pause, Timeout and SettleTimeout must not be negative")
	case c.FirstID < 0 || c.FirstClient < 0:
		return errors.New("drive: FirstID and FirstClient must not be negative")
	}
	if err := errors.Join(c.Writes.validate(), c.Reads.validate()); err != nil {
		return err
	}
	return validatePoints(c.Points)
}

func (w Writes) validate() error {
	for _, share := range []float64{w.Multi, w.Delete, w.Oversize, w.Abort, w.ReadBack, w.Sum} {
		if share < 0 || share > 1 {
			return fmt.Errorf("drive: a share of the Writes is %v: it must be from 0 to 1", share)
		}
	}
	if w.Put < 0 || w.Write < 0 || w.Record < 0 || w.Pad < 0 {
		return errors.New("drive: the weights and the Pad of Writes must not be negative")
	}
	return nil
}

func (r Reads) validate() error {
	switch {
	case min(r.Default, r.Token, r.Session, r.Within, r.Strict) < 0:
		return errors.New("drive: the weights of Reads must not be negative")
	case r.ManyKeys < 0:
		return fmt.Errorf("drive: ManyKeys of Reads is %d: it must not be negative", r.ManyKeys)
	case r.Many < 0 || r.Many > 1:
		return fmt.Errorf("drive: Many of Reads is %v: it must be from 0 to 1", r.Many)
	}
	return nil
}
