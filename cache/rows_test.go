package cache_test

import (
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/cache"
)

// row is one line of a table: what the cache holds, what comes, what becomes of it.
type row struct {
	name string
	held string // the entry's bytes before, "" for nothing
	do   cache.Change
	fill bool
	want cache.Outcome
	// after is the entry then. FRESH stands for a token that was made up just now, SAME means untouched.
	after string
	// bears says that the reply bears the entry's token.
	bears bool
}

const (
	same  = "SAME"
	fresh = "FRESH"
	old   = "OLDTOKEN"
)

// placeholder is an entry's bytes.
func placeholder(bound, token string) string { return "tl1 P " + bound + " " + token + "\n" }

// runRows sends each row to a key of its own.
func runRows(t *testing.T, rows []row) {
	t.Parallel()
	b := shared(t)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			r.do.Key = b.key(t.Name())
			b.put(t, r.do.Key, r.held)
			send := b.Apply
			if r.fill {
				send = b.Fill
			}
			reply := send(t.Context(), r.do)[0]
			if reply.Outcome != r.want || reply.Err != nil {
				t.Errorf("the reply is %v, %v, want %v", reply.Outcome, reply.Err, r.want)
			}
			r.expect(t, b, reply)
		})
	}
}

// expect looks at the entry that a change has left, and at how long it has to live.
func (r row) expect(t *testing.T, b *bench, reply cache.Reply) {
	t.Helper()
	want, got := r.after, b.bytes(t, r.do.Key)
	if want == same {
		want = r.held
	}
	if strings.Contains(want, fresh) {
		token := tokenOf(got)
		if token == old || len(token) < 20 {
			t.Errorf("the token %q is not fresh", token)
		}
		want = strings.Replace(want, fresh, token, 1)
	}
	if got != want {
		t.Errorf("the cache holds %q, want %q", got, want)
	}
	wantTicket := ""
	if r.bears {
		wantTicket = tokenOf(got)
	}
	if reply.Ticket != wantTicket {
		t.Errorf("the reply bears %q, want %q", reply.Ticket, wantTicket)
	}
	switch {
	case got == "" || got == r.held: // what is untouched keeps its time
	case tokenOf(got) != "":
		b.expectTTL(t, r.do.Key, placeholderTTL)
	default:
		b.expectTTL(t, r.do.Key, valueTTL)
	}
}
