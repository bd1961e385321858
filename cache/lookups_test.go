package cache_test

import (
	"testing"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

func TestLookups(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	c := rig.Cache(t, server.URL())
	before, err := c.Lookups(t.Context())
	if err != nil || len(before) != 1 || len(before[0].RunID) != 40 {
		t.Fatalf("%+v, %v", before, err)
	}
	for range 3 {
		if _, err := c.Get(t.Context(), "nothing"); err != nil {
			t.Fatal(err)
		}
	}
	after, err := c.Lookups(t.Context())
	if err != nil || after[0].RunID != before[0].RunID || after[0].Misses-before[0].Misses != 3 || after[0].Hits != before[0].Hits {
		t.Errorf("from %+v to %+v, %v", before, after, err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if none, err := c.Lookups(t.Context()); err == nil {
		t.Errorf("a dead server has counted %+v", none)
	}
}
