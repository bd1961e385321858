package cache_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
)

// A writer brings the change that it has committed. The cache did not hold the key, so the writer is given a ticket, and stores its
// value once Postgres has told it that no newer version was committed meanwhile.
func Example() {
	ctx := context.Background()
	c, err := cache.New(ctx, cache.Config{URL: "valkey://127.0.0.1:6379"})
	if err != nil {
		fmt.Println(err) // wrong settings or a refused password; a server that is down is no error
		return
	}
	defer c.Close()

	change := cache.Change{
		Key: "flight:123", Version: 42, Kind: cache.Value, Payload: []byte(`{"gate":"B7"}`), TTL: time.Hour,
		Allocate: true,
	}
	reply := c.Apply(ctx, change)[0]
	if reply.Outcome == cache.Check && latestVersion(ctx, change.Key) == change.Version {
		change.Ticket = reply.Ticket
		reply = c.Apply(ctx, change)[0]
	}
	if !reply.Outcome.Done() {
		fmt.Println("the change is not settled, bring it again:", reply.Err)
	}
	if entry, err := c.Get(ctx, change.Key); err == nil && entry.Hit() {
		fmt.Printf("%s of version %d\n", entry.Payload, entry.Version)
	}
}

// latestVersion stands for the look at tidelock.versions.
func latestVersion(context.Context, string) int64 { return 42 }

// The text of a token travels with the answer to a write, in a header or a cookie, and makes the reader's next request see that write.
func ExampleToken() {
	token := cache.NewToken(func(yield func(string, int64) bool) { yield("flight:123", 42) })
	received, err := cache.ParseToken(token.String())
	fmt.Println(received.Version("flight:123"), received.Version("flight:124"), err)
	// Output: 42 0 <nil>
}
