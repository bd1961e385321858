package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/valkey-io/valkey-go"
)

// Visit is a connection of its own to one server, for a walk over what that server holds. A connection never changes its server, so all that
// is done on a visit is done to the server that it began with.
type Visit struct {
	c      *Cache
	node   node
	client valkey.DedicatedClient
}

const (
	// visitTimeout bounds one step of a walk, which may be a thousand scripts.
	visitTimeout = 5 * time.Second
	// scanCount is the size of a step over all keys.
	scanCount = 1000
)

// Visit connects to a server; it fails with ErrUnavailable when the shard's server is another one than this. Call Close at the end.
func (c *Cache) Visit(ctx context.Context, s Server) (*Visit, error) {
	nodes, err := c.primaries(ctx)
	for _, n := range nodes {
		if n.shard == s.Shard {
			return c.visit(ctx, n, s)
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: no server has the shard %q", ErrUnavailable, s.Shard)
	}
	return nil, err
}

func (c *Cache) visit(ctx context.Context, n node, s Server) (*Visit, error) {
	client, _ := n.client.Dedicate()
	is, err := watch(ctx, c.cfg.watchTimeout(), client, n.shard, canaryKey+n.tag, Canary{})
	if err == nil && (is.RunID != s.RunID || is.ReplID != s.ReplID) {
		err = fmt.Errorf("%w: the server is another one by now", ErrUnavailable)
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	return &Visit{c: c, node: n, client: client}, nil
}

// Close ends the visit and its connection, which might lead the next visit to a server that others have left.
func (v *Visit) Close() { v.client.Close() }

// DropAbove deletes every entry with a version above the bound, with a negative bound every entry, and all placeholders, whose tickets may be held by
// loads of long ago. It returns how many went; progress hears how many keys have been looked at. It is for versions that no longer stand for
// what they did.
func (v *Visit) DropAbove(ctx context.Context, above int64, progress func(keys int64)) (dropped int64, err error) {
	var looked int64
	for cursor := uint64(0); ; {
		keys, next, err := v.Keys(ctx, cursor)
		if err != nil {
			return dropped, err
		}
		n, err := v.drop(ctx, keys, above)
		dropped += n
		if err != nil {
			return dropped, err
		}
		looked += int64(len(keys))
		progress(looked)
		if cursor = next; cursor == 0 {
			return dropped, nil
		}
	}
}

// Keys returns some of the keys that the server holds text at, and the cursor of the next step: begin with 0, and 0 comes back with the last. A key that is
// there all the while comes once at least, and perhaps twice; one that comes or goes meanwhile may be left out.
func (v *Visit) Keys(ctx context.Context, cursor uint64) (keys []string, next uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, visitTimeout)
	defer cancel()
	entry, err := v.client.Do(ctx, v.client.B().Scan().Cursor(cursor).Count(scanCount).Type("string").Build()).AsScanEntry()
	_, err = translate(err)
	return entry.Elements, entry.Cursor, err
}

func (v *Visit) drop(ctx context.Context, keys []string, above int64) (dropped int64, err error) {
	if len(keys) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, visitTimeout)
	defer cancel()
	bound := ""
	if above >= 0 {
		bound = strconv.FormatInt(above, 10)
	}
	calls := make([]call, len(keys))
	for i, key := range keys {
		calls[i] = call{key: key, args: []string{bound}}
	}
	results, _ := dropScript.run(ctx, v.client, calls, askNone)
	for i, result := range results {
		one, err := result.AsInt64()
		if elsewhere(err) {
			if err := v.c.Drop(ctx, keys[i]); err != nil {
				return dropped, fmt.Errorf("dropping %s, which has moved: %w", keys[i], err)
			}
			continue
		}
		verdict, err := translate(err)
		if verdict != healthy {
			return dropped, err
		}
		dropped += one // 0 for a key that the server does not let us touch: it is none of ours
	}
	return dropped, nil
}

// Invalidate makes the entries of these keys placeholders where they are older than the version, as Apply does. Keys that have moved to another
// shard meanwhile are invalidated there; keys that lay in others all along are left out. refused are those that the server does not let us
// touch.
func (v *Visit) Invalidate(ctx context.Context, versions map[string]int64) (refused map[string]error, err error) {
	ctx, cancel := context.WithTimeout(ctx, visitTimeout)
	defer cancel()
	var changes []Change
	var calls []call
	for key, version := range versions {
		if v.holds(key) {
			change := Change{Key: key, Version: version, Kind: Placeholder}
			changes, calls = append(changes, change), append(calls, v.c.call(&change, "W"))
		}
	}
	if len(calls) == 0 {
		return nil, nil
	}
	var moved []Change
	results, _ := applyScript.run(ctx, v.client, calls, askNone)
	for i, result := range results {
		verdict, err := translate(result.Error())
		switch {
		case err == nil:
		case elsewhere(err):
			moved = append(moved, changes[i])
		case verdict != healthy:
			return refused, err
		default:
			if refused == nil {
				refused = make(map[string]error)
			}
			refused[changes[i].Key] = err
		}
	}
	return refused, v.follow(ctx, moved)
}

// follow invalidates keys wherever they are by now.
func (v *Visit) follow(ctx context.Context, moved []Change) error {
	if len(moved) == 0 {
		return nil
	}
	for i, reply := range v.c.Apply(ctx, moved...) {
		if !reply.Outcome.Done() {
			return fmt.Errorf("invalidating %s, which has moved: %w", moved[i].Key, reply.Err)
		}
	}
	return nil
}

// holds reports whether the key lay in the server's slots when the visit began.
func (v *Visit) holds(key string) bool {
	if v.node.slots == nil {
		return true
	}
	cmd := v.client.B().Get().Key(key).Build()
	return within(v.node.slots, cmd.Slot())
}

// elsewhere reports whether a server of a cluster says that another one has the key.
func elsewhere(err error) bool {
	reply, ok := errors.AsType[*valkey.ValkeyError](err)
	if !ok {
		return false
	}
	_, moved := reply.IsMoved()
	_, asked := reply.IsAsk()
	return moved || asked
}
