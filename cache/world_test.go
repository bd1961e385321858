package cache_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// op is one kind of step.
type op byte

const (
	opTicket op = iota
	opWrite
	opAllocate
	opAbsent
	opInvalidate
	opFill
	opFillAbsent
	opDel
	opExpire
	opFlush
	opForeign
	opHash
	ops
)

func (o op) String() string {
	return [...]string{"ticket", "write", "allocate", "absent", "invalidate", "fill", "fill absent", "del", "expire", "flush", "foreign", "hash"}[o]
}

type step struct {
	op                  op
	key, version, token byte
}

// likely are the ops in the proportion in which random steps take them.
var likely = []op{opTicket, opTicket, opTicket, opWrite, opWrite, opAllocate, opAllocate, opAbsent, opInvalidate,
	opFill, opFill, opFill, opFill, opFillAbsent, opDel, opExpire, opFlush, opForeign, opHash}

// stepVersions meet at the places where versions gain a digit or a double loses one.
var stepVersions = []int64{0, 1, 2, 3, 8, 9, 10, 11, 99, 100, exact - 1, exact, inexact, inexact + 1, largest - 1, largest}

// Which token a step shows.
const (
	tokenNone byte = iota
	tokenCurrent
	tokenOld   // of this key
	tokenOther // of another key
	tokenWrong
	tokens
)

const worldKeys = 3

// world drives a server and the model side by side.
type world struct {
	b      *bench
	models [worldKeys]model
	seen   [worldKeys][]string // tokens the key has had
	trace  []string
}

// play runs the program in a world of its own, whose database is empty.
func play(t *testing.T, b *bench, program []byte) {
	t.Helper()
	b.cmd(t, "FLUSHDB")
	w := &world{b: b}
	for step := range slices.Chunk(program, 4) {
		if len(step) < 4 {
			break
		}
		w.step(t, op(step[0])%ops, int(step[1])%worldKeys, step[2], step[3])
		if t.Failed() {
			t.Fatalf("the steps were:\n%s", strings.Join(w.trace, "\n"))
		}
	}
}

func (w *world) key(k int) string { return string(rune('a' + k)) }

func (w *world) step(t *testing.T, o op, k int, version, token byte) {
	t.Helper()
	m, c := &w.models[k], w.change(o, k, version, token)
	w.trace = append(w.trace, fmt.Sprintf("%v %s version %d ticket %q onto %q", o, c.Key, c.Version, c.Ticket, m.bytes()))
	switch o {
	case opTicket:
		w.takeTicket(t, k)
	case opFill, opFillAbsent:
		w.agree(t, k, w.b.Fill(t.Context(), c)[0], m.fill(c))
	case opWrite, opAllocate, opAbsent, opInvalidate:
		w.agree(t, k, w.b.one(t, c), m.apply(c))
	default:
		w.byHand(t, o, k)
	}
	w.compare(t)
}

func (w *world) change(o op, k int, version, token byte) cache.Change {
	c := value(w.key(k), stepVersions[int(version)%len(stepVersions)], fmt.Sprintf("step %d", len(w.trace)))
	c.Ticket, c.Allocate = w.token(k, token%tokens), o == opAllocate
	switch o {
	case opAbsent, opFillAbsent:
		c.Kind, c.Payload = cache.Absent, nil
	case opInvalidate:
		c.Kind, c.Payload = cache.Placeholder, nil
	}
	return c
}

// token is the one that a step shows.
func (w *world) token(k int, which byte) string {
	seen := w.seen[k]
	switch {
	case which == tokenWrong:
		return "WRONG"
	case which == tokenCurrent:
		return w.models[k].token
	case which == tokenOther:
		return w.models[(k+1)%worldKeys].token
	case which == tokenOld && len(seen) > 1:
		return seen[len(seen)-2]
	default:
		return ""
	}
}

func (w *world) takeTicket(t *testing.T, k int) {
	t.Helper()
	m, held := &w.models[k], w.b.ticket(t, w.key(k))
	if !m.ticket() {
		if !isRefusal(held.Err) {
			t.Errorf("the reply is %+v, the model wants an error", held)
		}
		return
	}
	w.learn(t, k)
	want := cache.Entry{Kind: m.kind, Version: m.version, Ticket: m.token, Payload: []byte(m.payload)}
	if held.Err != nil {
		t.Errorf("the reply is %v", held.Err)
	}
	expectEntry(t, held.Entry, want)
}

// agree compares a reply with the model's.
func (w *world) agree(t *testing.T, k int, got cache.Reply, want cache.Outcome) {
	t.Helper()
	w.learn(t, k)
	ticket := ""
	if want == cache.Check {
		ticket = w.models[k].token
	}
	if got.Outcome != want || got.Ticket != ticket || (got.Err != nil) != (want == cache.Rejected) {
		t.Errorf("the reply is %v %q %v, the model's %v %q", got.Outcome, got.Ticket, got.Err, want, ticket)
	}
}

// learn reads a token that the server had to make up, and holds that it was never seen before.
func (w *world) learn(t *testing.T, k int) {
	t.Helper()
	m := &w.models[k]
	if m.token != made {
		return
	}
	m.token = tokenOf(w.b.bytes(t, w.key(k)))
	for _, seen := range w.seen {
		if m.token == "" || slices.Contains(seen, m.token) {
			t.Errorf("the token %q is not fresh", m.token)
		}
	}
	w.seen[k] = append(w.seen[k], m.token)
}

// byHand is what others do to the entries.
func (w *world) byHand(t *testing.T, o op, k int) {
	t.Helper()
	key, m := w.key(k), &w.models[k]
	switch o {
	case opDel:
		w.b.cmd(t, "DEL", key)
	case opExpire:
		w.b.cmd(t, "PEXPIRE", key, "1")
		stacktest.Eventually(t, patience, func() bool { return !w.b.exists(t, key) }, "expiring", key)
	case opFlush:
		w.b.cmd(t, "FLUSHDB")
		w.models = [worldKeys]model{}
	case opForeign:
		w.b.cmd(t, "SET", key, "by hand")
	case opHash:
		w.b.cmd(t, "DEL", key)
		w.b.cmd(t, "HSET", key, "f", "v")
	}
	*m = model{hash: o == opHash}
	if o == opForeign {
		m.foreign = "by hand"
	}
}

// compare holds all entries against the model, in one pipeline.
func (w *world) compare(t *testing.T) {
	t.Helper()
	var cmds valkey.Commands
	for k := range w.models {
		cmds = append(cmds, w.b.raw.B().Type().Key(w.key(k)).Build(), w.b.raw.B().Get().Key(w.key(k)).Build())
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	results := w.b.raw.DoMulti(ctx, cmds...)
	for k := range w.models {
		m := &w.models[k]
		kind, err := results[2*k].ToString()
		must(t, err)
		bytes, err := results[2*k+1].ToString()
		if err != nil { // nothing, or another type
			bytes = ""
		}
		if (kind == "hash") != m.hash || bytes != m.bytes() {
			t.Errorf("%s is a %s %q, the model has %+v", w.key(k), kind, bytes, m)
		}
	}
}
