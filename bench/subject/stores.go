package subject

import (
	"context"
	"strconv"
	"time"

	"github.com/dtm-labs/rockscache"
	gocache "github.com/go-redis/cache/v9"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/writer"
)

// Store is a subject whose values are counters, so that an old one can be told. Write raises the counter of row n and returns it once it is
// acknowledged; Read returns what a caller sees.
type Store struct {
	Name  string
	Write func(ctx context.Context, n int) (int64, error)
	Read  func(ctx context.Context, n int) (int64, error)
}

// StoreMaker makes stores. Each has a client for its writers and one for its readers, as if they were two processes.
type StoreMaker struct {
	DB               *pgxpool.Pool
	NATS             *nats.Conn
	Writers, Readers string // where each find Valkey

	closers []func()
}

// Close ends all clients.
func (m *StoreMaker) Close() {
	for i := len(m.closers) - 1; i >= 0; i-- {
		m.closers[i]()
	}
}

// All returns all of them.
func (m *StoreMaker) All(ctx context.Context) ([]Store, error) {
	stores := []Store{{Name: "no cache", Write: m.raise, Read: m.look}}
	hand, err := m.byHand()
	if err != nil {
		return nil, err
	}
	stores = append(append(stores, hand...), m.peers()...)
	for _, kind := range []struct {
		name, prefix string
		options      func() ([]reader.Option, error)
	}{
		{"Tidelock", "stale:", func() ([]reader.Option, error) { return nil, nil }},
		{"Tidelock, Within(1s)", "stale:within:", func() ([]reader.Option, error) {
			within, err := reader.Within(time.Second)
			return []reader.Option{within}, err
		}},
		{"Tidelock, Strict", "stale:strict:", func() ([]reader.Option, error) { return []reader.Option{reader.Strict()}, nil }},
	} {
		options, err := kind.options()
		if err != nil {
			return nil, err
		}
		store, err := m.tidelock(ctx, kind.prefix, options)
		if err != nil {
			return nil, err
		}
		store.Name = kind.name
		stores = append(stores, store)
	}
	return stores, nil
}

const raiseSQL = "UPDATE items SET body = (body::bigint + 1)::text WHERE id = $1 RETURNING body"

func (m *StoreMaker) raise(ctx context.Context, n int) (int64, error) {
	return counter(ctx, m.DB, raiseSQL, n)
}

func (m *StoreMaker) look(ctx context.Context, n int) (int64, error) {
	return counter(ctx, m.DB, "SELECT body FROM items WHERE id = $1", n)
}

func counter(ctx context.Context, db *pgxpool.Pool, sql string, n int) (int64, error) {
	var body string
	if err := db.QueryRow(ctx, sql, n).Scan(&body); err != nil {
		return 0, err
	}
	return strconv.ParseInt(body, 10, 64)
}

// text is a counter as the caches hold it.
func text(n int64, err error) (string, error) { return strconv.FormatInt(n, 10), err }

// byHand are UPDATE then SET, and UPDATE then DEL. A cache that does not answer fails no write and no read: what a team would do with its errors.
func (m *StoreMaker) byHand() ([]Store, error) {
	clients := make([]valkey.Client, 2)
	for i, addr := range []string{m.Writers, m.Readers} {
		client, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}, DisableCache: true, DisableRetry: true,
			ForceSingleClient: true})
		if err != nil {
			return nil, err
		}
		m.closers = append(m.closers, client.Close)
		clients[i] = client
	}
	set := func(ctx context.Context, client valkey.Client, key string, n int64) {
		ctx, cancel := context.WithTimeout(ctx, handTimeout)
		defer cancel()
		_ = client.Do(ctx, client.B().Set().Key(key).Value(strconv.FormatInt(n, 10)).Ex(ttl).Build()).Error()
	}
	read := func(prefix string) func(context.Context, int) (int64, error) {
		return func(ctx context.Context, n int) (int64, error) {
			key := prefix + strconv.Itoa(n)
			bounded, cancel := context.WithTimeout(ctx, handTimeout)
			held, err := clients[1].Do(bounded, clients[1].B().Get().Key(key).Build()).AsInt64()
			cancel()
			if err == nil {
				return held, nil
			}
			got, err := m.look(ctx, n)
			if err == nil {
				set(ctx, clients[1], key, got)
			}
			return got, err
		}
	}
	return []Store{
		{Name: "by hand: UPDATE, SET", Read: read("stale-set:"), Write: func(ctx context.Context, n int) (int64, error) {
			wrote, err := m.raise(ctx, n)
			if err == nil {
				set(ctx, clients[0], "stale-set:"+strconv.Itoa(n), wrote)
			}
			return wrote, err
		}},
		{Name: "by hand: UPDATE, DEL", Read: read("stale-del:"), Write: func(ctx context.Context, n int) (int64, error) {
			wrote, err := m.raise(ctx, n)
			if err == nil {
				bounded, cancel := context.WithTimeout(ctx, handTimeout)
				defer cancel()
				_ = clients[0].Do(bounded, clients[0].B().Del().Key("stale-del:"+strconv.Itoa(n)).Build()).Error()
			}
			return wrote, err
		}},
	}, nil
}

// handTimeout is how long those by hand wait for Valkey: as long as Tidelock does.
const handTimeout = 50 * time.Millisecond

// peers are rockscache in both modes and go-redis/cache. An error of the cache after a write is a warning, as it is to the others; an error of a read
// is the reader's.
func (m *StoreMaker) peers() []Store {
	redis.SetLogger(silent{}) // or it tells of every connection that failed
	clients := make([]*redis.Client, 2)
	for i, addr := range []string{m.Writers, m.Readers} {
		clients[i] = redis.NewClient(&redis.Options{Addr: addr})
		m.closers = append(m.closers, func() { _ = clients[i].Close() })
	}
	rocks := func(name, prefix string, strong bool) Store {
		options := rockscache.NewDefaultOptions()
		options.StrongConsistency = strong
		writes, reads := rockscache.NewClient(clients[0], options), rockscache.NewClient(clients[1], options)
		return Store{Name: name, Write: func(ctx context.Context, n int) (int64, error) {
			wrote, err := m.raise(ctx, n)
			if err == nil {
				_ = writes.TagAsDeleted2(ctx, prefix+strconv.Itoa(n))
			}
			return wrote, err
		}, Read: func(ctx context.Context, n int) (int64, error) {
			// Its eventual mode returns what is old and loads in the background, with this context.
			held, err := reads.Fetch2(context.WithoutCancel(ctx), prefix+strconv.Itoa(n), ttl, func() (string, error) { return text(m.look(context.WithoutCancel(ctx), n)) })
			if err != nil {
				return 0, err
			}
			return strconv.ParseInt(held, 10, 64)
		}}
	}
	writes, reads := gocache.New(&gocache.Options{Redis: clients[0]}), gocache.New(&gocache.Options{Redis: clients[1]})
	return []Store{
		rocks("rockscache", "stale-rocks:", false),
		rocks("rockscache, strong", "stale-rocks-strong:", true),
		{Name: "go-redis/cache", Write: func(ctx context.Context, n int) (int64, error) {
			wrote, err := m.raise(ctx, n)
			if err == nil {
				_ = writes.Set(&gocache.Item{Ctx: ctx, Key: "stale-go:" + strconv.Itoa(n), Value: wrote, TTL: ttl})
			}
			return wrote, err
		}, Read: func(ctx context.Context, n int) (got int64, err error) {
			err = reads.Once(&gocache.Item{Ctx: ctx, Key: "stale-go:" + strconv.Itoa(n), Value: &got, TTL: ttl, Do: func(*gocache.Item) (any, error) {
				return m.look(ctx, n)
			}})
			return got, err
		}},
	}
}

type silent struct{}

// Printf does nothing.
func (silent) Printf(context.Context, string, ...any) {}

// tidelock is the product with its own defaults, and with leases on both sides.
func (m *StoreMaker) tidelock(ctx context.Context, prefix string, options []reader.Option) (Store, error) {
	caches := make([]*cache.Cache, 2)
	for i, addr := range []string{m.Writers, m.Readers} {
		c, err := cache.New(ctx, cache.Config{URL: "valkey://" + addr})
		if err != nil {
			return Store{}, err
		}
		m.closers = append(m.closers, c.Close)
		caches[i] = c
	}
	t := &Tidelock{db: m.DB, prefix: prefix}
	leases, err := lease.NewClient(lease.Config{DB: m.DB, NATS: m.NATS})
	if err != nil {
		return Store{}, err
	}
	m.closers = append(m.closers, leases.Close)
	w, err := writer.New(ctx, writer.Config{DB: m.DB, Cache: caches[0], NATS: m.NATS, Leases: leases})
	if err != nil {
		return Store{}, err
	}
	m.closers = append(m.closers, w.Close)
	r, err := reader.NewRaw(reader.Config{Cache: caches[1], DB: m.DB, Load: t.load, Leases: leases})
	if err != nil {
		return Store{}, err
	}
	m.closers = append(m.closers, r.Close)
	return Store{Write: func(ctx context.Context, n int) (wrote int64, err error) {
		_, err = w.Write(ctx, func(ctx context.Context, tx *writer.Tx) error {
			var body string
			if err := tx.QueryRow(ctx, raiseSQL, n).Scan(&body); err != nil {
				return err
			}
			if wrote, err = strconv.ParseInt(body, 10, 64); err != nil {
				return err
			}
			return tx.Change(writer.Set(t.key(n), []byte(body)))
		})
		return wrote, err
	}, Read: func(ctx context.Context, n int) (int64, error) {
		p, err := r.Get(ctx, t.key(n), options...)
		if err != nil {
			return 0, err
		}
		return strconv.ParseInt(string(p.Bytes), 10, 64)
	}}, nil
}
