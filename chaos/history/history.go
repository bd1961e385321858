// Package history is what a chaos run leaves behind: every operation as its client saw it, and every fault as its maker
// did, as JSON lines. Instants are nanoseconds of the machine's monotonic clock, which all processes share.
package history

// Kind is what an operation does.
type Kind string

const (
	// Write gives a row a new value.
	Write Kind = "write"
	// Delete marks a row as gone: its key becomes absent.
	Delete Kind = "delete"
	// Read gets the row through the subject.
	Read Kind = "read"
)

// Outcome is what its client knows of an operation.
type Outcome string

const (
	// OK says that it took effect.
	OK Outcome = "ok"
	// Fail says that it did not, and never will.
	Fail Outcome = "fail"
	// Unknown says that it may have, or may yet: the connection was lost, or the client died.
	Unknown Outcome = "unknown"
)

// Level is the promise that a read asks for.
type Level string

const (
	// Default never goes backwards while the entry lives.
	Default Level = "default"
	// Token sees the write whose token it passes.
	Token Level = "token"
	// Session is a read of its client's session, which never goes back; now and then the session goes on from its token, as in another process.
	Session Level = "session"
	// Within sees every write that was acknowledged longer than Op.Within before it began.
	Within Level = "within"
	// Strict is linearizable. It is for keys of a prefix that is declared so.
	Strict Level = "strict"
)

// Op is one operation. A client is sequential: its operations do not overlap.
//
// N is the row's own counter, which every write raises by one under the row's lock. So for one key N is the order of the commits,
// whatever the subject, and a row that was written five times has N = 5.
type Op struct {
	Process  string  `json:"p"` // "w0", "r1"
	Client   int     `json:"c"` // within the process, and within its lives: a process that was killed and started again goes on counting
	Kind     Kind    `json:"k"`
	Key      string  `json:"key"`
	Level    Level   `json:"lvl,omitempty"`
	ID       int64   `json:"id,omitempty"`  // a write's: unique in the run. A read's: that of the write which it saw, 0 for no row
	N        int64   `json:"n,omitempty"`   // 0: not known (a write without an answer, an absent row)
	Version  int64   `json:"ver,omitempty"` // a write's, or the label of what was read; 0 where the subject has none
	Need     int64   `json:"need,omitempty"`
	Within   int64   `json:"within,omitempty"` // the bound of a read of that level, in nanoseconds
	Hit      bool    `json:"hit,omitempty"`    // read from the cache
	Deferred bool    `json:"defer,omitempty"`  // the write had not reached the cache when it was acknowledged
	Begin    int64   `json:"b"`
	End      int64   `json:"e,omitempty"` // 0: it never returned
	Outcome  Outcome `json:"out"`
	Err      string  `json:"err,omitempty"`
}

// Event is one fault, or its end.
type Event struct {
	At    int64  `json:"t"`
	Name  string `json:"name"` // "valkey killed"
	Begin bool   `json:"begin"`
	// Rollback says that entries may have gone back in version with it: a restart from older data, a failover, an old primary that answers. What
	// was true of the entries before it says nothing of those after it.
	Rollback bool `json:"rollback,omitempty"`
}
