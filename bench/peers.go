package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidelock-cache/tidelock/bench/subject"
	"github.com/tidelock-cache/tidelock/bench/turns"
)

// peers holds the contests with caches that others have published.
func (b *bench) peers(ctx context.Context) (err error) {
	peers := subject.NewPeers(b.site.DB, b.site.Stack.Valkey.Addr(), b.cfg.Pool)
	defer func() { err = errors.Join(err, peers.Close()) }()
	for _, n := range []int{1, b.cfg.Busy} {
		cell := turns.Cell{Clients: n, Payload: b.cfg.Payloads[0], Keys: b.cfg.Keys}
		if err := b.peersIn(ctx, cell, peers); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) peersIn(ctx context.Context, cell turns.Cell, peers *subject.Peers) error {
	if _, err := b.warm(ctx, cell); err != nil {
		return err
	}
	if err := peers.Fill(ctx); err != nil {
		return err
	}
	const rocksWeak, rocksStrong, goOnce = "rockscache Fetch", "rockscache Fetch, strong", "go-redis/cache Once"
	const rocksDelete, goSet = "UPDATE, rockscache TagAsDeleted", "UPDATE, go-redis/cache Set"
	err := b.hold(ctx, contest{
		cell: cell,
		subjects: []turns.Subject{
			{Name: ourGet, Do: b.ours.Get()},
			{Name: rocksWeak, Do: peers.Fetch(peers.Weak)},
			{Name: rocksStrong, Do: peers.Fetch(peers.Strong)},
			{Name: goOnce, Do: peers.Once},
		},
		compare: []versus{{"get_vs_rockscache", ourGet, rocksWeak}, {"get_vs_rockscache_strong", ourGet, rocksStrong}, {"get_vs_go_redis_cache", ourGet, goOnce}},
	})
	if err != nil {
		return err
	}
	return b.hold(ctx, contest{
		cell: cell,
		subjects: []turns.Subject{
			{Name: ourPut, Do: b.ours.Put},
			{Name: rocksDelete, Do: peers.TagAsDeleted},
			{Name: goSet, Do: peers.Set},
		},
		compare: []versus{{"put_vs_rockscache", ourPut, rocksDelete}, {"put_vs_go_redis_cache", ourPut, goSet}},
	})
}

// relayPeerTime is how long a peer may work on its messages; what it has not done by then counts as not done.
const relayPeerTime = 20 * time.Second

// relayPeers drains the outboxes of others. The payload is the first of the sizes.
func (b *bench) relayPeers(ctx context.Context) error {
	for _, peer := range []struct {
		name  string
		relay subject.Relay
	}{
		{"oagudo_outbox", &subject.Outbox{DB: b.site.DB, Valkey: b.site.Valkey}},
		{"watermill_forwarder", &subject.Forwarder{DB: b.site.DB, Valkey: b.site.Valkey}},
		{"river", &subject.River{DB: b.site.DB, Valkey: b.site.Valkey}},
	} {
		perSecond, err := b.drainPeer(ctx, peer.relay)
		if err != nil {
			return fmt.Errorf("%s: %w", peer.name, err)
		}
		b.results.Set("relay_peer."+peer.name+".records_per_s", perSecond)
		fmt.Fprintf(b.table.out, "  drain by %-24s %10.0f records/s\n", peer.name, perSecond)
	}
	b.results.Set("relay_peer.records", float64(b.cfg.PeerRecords))
	return b.save()
}

func (b *bench) drainPeer(ctx context.Context, peer subject.Relay) (perSecond float64, err error) {
	n := b.cfg.PeerRecords
	if err := peer.Insert(ctx, n, letters(b.cfg.Payloads[0])); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := peer.Start(ctx); err != nil {
		return 0, err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, peer.Stop(stopping))
	}()
	left := n
	for left > 0 && time.Since(began) < relayPeerTime {
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
		if left, err = peer.Left(ctx); err != nil {
			return 0, err
		}
	}
	if left == n {
		return 0, errors.New("it has done nothing")
	}
	return float64(n-left) / time.Since(began).Seconds(), nil
}

func letters(size int) []byte {
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = 'a' + byte(i%26)
	}
	return payload
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
