package rig

import (
	"testing"

	"github.com/tidelock-cache/tidelock/internal/stack"
)

// Proxy puts a proxy before the server at upstream, a host and port, so that a test can make the network to it fail for
// those who go by the proxy's Addr.
func Proxy(t testing.TB, upstream string) *stack.Proxy {
	t.Helper()
	p, err := stack.NewProxy(upstream)
	if err != nil {
		t.Fatalf("starting a proxy: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("closing the proxy: %v", err)
		}
	})
	return p
}
