package serve

import (
	"context"
	"sync"

	"github.com/tidelock-cache/tidelock/internal/mutant"
)

// turns lets one write of a key begin at a time. Puts of one key that share a transaction would share a version too, and with it an entity-tag that stands
// for the last of them: who had written before could then overwrite with If-Match what he has never seen.
type turns struct {
	mu   sync.Mutex
	keys map[string]*turn
}

type turn struct {
	held    chan struct{} // has a place for whose turn it is
	waiting int           // and he
}

// take waits for the key's turn, which ends with what it returns.
func (t *turns) take(ctx context.Context, key string) (end func(), err error) {
	if mutant.On("one-put-a-version") {
		return func() {}, nil
	}
	t.mu.Lock()
	if t.keys == nil {
		t.keys = make(map[string]*turn)
	}
	it := t.keys[key]
	if it == nil {
		it = &turn{held: make(chan struct{}, 1)}
		t.keys[key] = it
	}
	it.waiting++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if it.waiting--; it.waiting == 0 {
			delete(t.keys, key)
		}
	}
	select {
	case it.held <- struct{}{}:
		return func() { <-it.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
