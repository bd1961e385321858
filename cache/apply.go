package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/internal/mutant"
)

// Change is one version of one key, on its way to the cache.
type Change struct {
	Key     string
	Version int64
	// Kind is Value, Absent, or Placeholder when the value is not known and must be loaded.
	Kind    Kind
	Payload []byte
	// TTL is the entry's time to live, at least 1 ms.
	TTL time.Duration
	// Ticket is the token held, if any: from Ticket, or from a reply Check.
	Ticket string
	// Allocate asks for the value to be stored also where the cache holds none. The reply is then Check.
	Allocate bool
}

// Outcome says what became of a change.
type Outcome uint8

const (
	// Failed: the cache did not answer, or answered with an error; the reply's Err says which.
	Failed Outcome = iota
	// Applied: the cache holds this version now.
	Applied
	// Superseded: the cache holds this version already, or a newer one.
	Superseded
	// Settled: the cache holds no value, and none older than this version can be stored any more.
	Settled
	// Check: as Settled, and the caller may store its value with the reply's Ticket once it has
	// seen in Postgres, after this reply, that its version is still the key's latest.
	Check
	// Refused: a fill came too late. The value read from Postgres is good; it just may not be stored.
	Refused
	// Dropped: the server has no memory for the value. The entry was deleted, so the change is settled.
	Dropped
	// Rejected: the value can never be stored: it is over the limit, or the key held another type. The entry was
	// deleted or invalidated, so the change is settled.
	Rejected
)

// String returns the outcome's name in lower case.
func (o Outcome) String() string {
	return [...]string{"failed", "applied", "superseded", "settled", "check", "refused", "dropped", "rejected"}[o]
}

// Done reports whether the cache holds no older value for the key and none can arrive later.
func (o Outcome) Done() bool { return o != Failed && o != Refused }

// Reply is what became of one change.
type Reply struct {
	Outcome Outcome
	Ticket  string // with Check
	// Server is the run id of the server that answered, which may be an old primary that others have left. Empty when it is not known.
	Server string
	Err    error // with Failed and Rejected: why
}

// Apply brings committed changes to the cache, in one pipeline. Any number of repetitions in any order leaves the newest.
// It may be called before the deadline of ctx only: a context already ended gives Failed.
func (c *Cache) Apply(ctx context.Context, changes ...Change) []Reply {
	return c.apply(ctx, changes, func(change *Change) string {
		if change.Allocate {
			return "C"
		}
		return "W"
	})
}

// Fill stores what a loader read from Postgres after it took the ticket that each change bears.
func (c *Cache) Fill(ctx context.Context, changes ...Change) []Reply {
	return c.apply(ctx, changes, func(*Change) string { return "F" })
}

func (c *Cache) apply(ctx context.Context, changes []Change, as func(*Change) string) []Reply {
	replies := make([]Reply, len(changes))
	trip, err := c.begin(ctx)
	if err != nil {
		for i := range replies {
			replies[i].Err = err
		}
		return replies
	}
	defer trip.end()
	calls := make([]call, len(changes))
	for i := range changes {
		calls[i] = c.call(&changes[i], as(&changes[i]))
	}
	var worst verdict
	who, before := trip.asked()
	results, batches := applyScript.run(trip.ctx, trip.client, calls, who)
	servers := make(map[int]string)
	for i, result := range results {
		text, err := result.ToString()
		v, err := trip.translate(err)
		worst = max(worst, v)
		text, server, told := strings.Cut(text, " @")
		if told {
			servers[batches[i]] = server
		}
		replies[i] = reply(text, err)
		if err := c.unstorable(&changes[i]); err != nil && replies[i].Outcome.Done() {
			replies[i] = Reply{Outcome: Rejected, Err: err}
		}
	}
	switch {
	case who != askNone:
		c.links.compare(before, servers)
		for i := range replies {
			replies[i].Server = servers[batches[i]]
		}
	case before == c.Links() || mutant.On("reply-links"):
		for i := range replies {
			replies[i].Server = before.Runs[0]
		}
	}
	c.breaker.record(worst)
	return replies
}

// asked says which calls have to ask who answers them: none while all connections lead to one server. If the links are the same after the calls then it has
// answered them.
func (t trip) asked() (who ask, before *Links) {
	before = t.cache.Links()
	switch {
	case before.sole() != "" && !t.cache.links.doubtful():
		return askNone, before
	case t.client.Mode() == valkey.ClientModeCluster:
		return askEach, before
	default:
		return askOne, before
	}
}

// unstorable returns why the change's value may not be stored, nil when it may.
func (c *Cache) unstorable(change *Change) error {
	if change.Kind != Value {
		return nil
	}
	return c.CheckPayload(change.Key, change.Payload)
}

// call builds the script's arguments; lua/apply.lua names them.
func (c *Cache) call(change *Change, who string) call {
	entry := ""
	if change.Kind != Placeholder && c.unstorable(change) == nil {
		entry = valkey.BinaryString(encode(c.Format(), change.Kind, change.Version, change.Payload))
	}
	return call{key: change.Key, args: []string{
		strconv.FormatInt(change.Version, 10),
		entry,
		strconv.FormatInt(max(change.TTL.Milliseconds(), 1), 10),
		who,
		change.Ticket,
		rand.Text(),
		strconv.FormatInt(c.cfg.placeholderTTL().Milliseconds(), 10),
	}}
}

// reply reads the script's reply; lua/apply.lua names them.
func reply(text string, err error) Reply {
	if err != nil {
		return Reply{Err: err}
	}
	name, ticket, _ := strings.Cut(text, " ")
	switch name {
	case "applied":
		return Reply{Outcome: Applied}
	case "superseded":
		return Reply{Outcome: Superseded}
	case "settled":
		return Reply{Outcome: Settled}
	case "check":
		return Reply{Outcome: Check, Ticket: ticket}
	case "refused":
		return Reply{Outcome: Refused}
	case "dropped":
		return Reply{Outcome: Dropped}
	case "rejected":
		return Reply{Outcome: Rejected, Err: errors.New("the key held another type than string")}
	default:
		return Reply{Err: fmt.Errorf("unknown reply of the apply script: %q", text)}
	}
}
