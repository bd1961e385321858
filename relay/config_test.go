package relay_test

import (
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/relay"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for field, c := range map[string]struct {
		change func(*relay.Config)
		says   string
	}{
		"DB":           {func(c *relay.Config) { c.DB = nil }, "DB is nil"},
		"Cache":        {func(c *relay.Config) { c.Cache = nil }, "Cache is nil"},
		"NATS":         {func(c *relay.Config) { c.NATS = nil }, "NATS is nil"},
		"Poll":         {func(c *relay.Config) { c.Poll = -1 }, "Poll"},
		"Lease":        {func(c *relay.Config) { c.Lease = -1 }, "Lease"},
		"KeepVersions": {func(c *relay.Config) { c.KeepVersions = -1 }, "KeepVersions"},
		"PartBytes":    {func(c *relay.Config) { c.PartBytes = -1 }, "PartBytes"},
		"PruneEvery":   {func(c *relay.Config) { c.PruneEvery = -1 }, "PruneEvery"},
		"Batch":        {func(c *relay.Config) { c.Batch = -1 }, "Batch"},
		"ChunkRecords": {func(c *relay.Config) { c.ChunkRecords = -1 }, "ChunkRecords"},
		"ChunkBytes":   {func(c *relay.Config) { c.ChunkBytes = -1 }, "ChunkBytes"},
		"StreamChunks": {func(c *relay.Config) { c.StreamChunks = -1 }, "StreamChunks"},
		"Consumers":    {func(c *relay.Config) { c.Consumers = -1 }, "Consumers"},
	} {
		t.Run(field, func(t *testing.T) {
			r, err := relay.New(s.config(c.change))
			if err == nil || !strings.HasPrefix(err.Error(), "relay: ") || !strings.Contains(err.Error(), c.says) || r != nil {
				t.Errorf("New gave %v, %v; want an error that names the field", r, err)
			}
		})
	}
	if _, err := relay.New(s.config()); err != nil {
		t.Errorf("good settings: %v", err)
	}
}
