package cache_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// counting counts what goes through a client.
type counting struct {
	valkey.Client
	commands, pipelines *atomic.Int64
}

func (c counting) Do(ctx context.Context, command valkey.Completed) valkey.ValkeyResult {
	c.commands.Add(1)
	return c.Client.Do(ctx, command)
}

func (c counting) DoMulti(ctx context.Context, commands ...valkey.Completed) []valkey.ValkeyResult {
	c.pipelines.Add(1)
	return c.Client.DoMulti(ctx, commands...)
}

// TestWrap: what is given in a client's stead hears every call.
func TestWrap(t *testing.T) {
	t.Parallel()
	var commands, pipelines atomic.Int64
	c := rig.Cache(t, stacktest.Valkey(t).URL(), func(cfg *cache.Config) {
		cfg.Wrap = func(client valkey.Client) valkey.Client { return counting{client, &commands, &pipelines} }
	})
	key := "wrap:" + t.Name()
	if _, err := c.Get(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if held := c.Ticket(t.Context(), []string{key}); held[0].Err != nil {
		t.Fatal(held[0].Err)
	}
	if commands.Load() != 1 || pipelines.Load() < 1 {
		t.Errorf("it heard of %d commands and %d pipelines", commands.Load(), pipelines.Load())
	}
}
