package judge

import (
	"time"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// Run is what is judged.
type Run struct {
	// Subject is the name of what was attacked.
	Subject string
	// Ops are all operations, in any order.
	Ops []history.Op
	// Events are the faults.
	Events []history.Event
	// Finals are the keys in the end. A key that is missing here is not held against what was acknowledged.
	Finals []Final
	// Bound is the longest that the cache may take to agree with Postgres after the faults. 0 means no bound.
	Bound time.Duration
	// Pruned says that versions were pruned: what has none then bears a floor as its label, which may be higher than the version that it was written
	// with.
	Pruned bool
	// Linear are the levels whose reads promise to be linearizable.
	Linear []history.Level
	// Calm is when the faults began.
	Calm int64
}

// Final is what a key is in Postgres and in the cache after the faults have ended.
type Final struct {
	Key string
	// N, Op and Gone are the row's. Version is the key's in tidelock.versions, read in the same snapshot; 0 for a subject without.
	N, Op, Version int64
	Gone           bool
	// Exists says that there is a row, gone or not.
	Exists bool
	// Cached is what the cache holds, nil for nothing.
	Cached *Cached
	// Settled is the time from the end of the faults until the cache agreed with Postgres for good.
	Settled time.Duration
	// Converged says that it did.
	Converged bool
}

// Cached is an entry.
type Cached struct {
	Version, N, Op int64
	// Absent says that there is no row, Placeholder that nobody may serve the entry.
	Absent, Placeholder bool
}
