package subject

import (
	"context"
	"strconv"

	"github.com/dtm-labs/rockscache"
	gocache "github.com/go-redis/cache/v9"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/tidelock-cache/tidelock/bench/turns"
)

// Peers are caches that others have published, each used as its documentation says, with the client that it needs.
type Peers struct {
	DB     *pgxpool.Pool
	Redis  *redis.Client
	Weak   *rockscache.Client
	Strong *rockscache.Client
	Go     *gocache.Cache
}

// NewPeers connects them to the server at addr.
func NewPeers(db *pgxpool.Pool, addr string, pool int) *Peers {
	client := redis.NewClient(&redis.Options{Addr: addr, PoolSize: pool})
	strong := rockscache.NewDefaultOptions()
	strong.StrongConsistency = true
	return &Peers{
		DB:     db,
		Redis:  client,
		Weak:   rockscache.NewClient(client, rockscache.NewDefaultOptions()),
		Strong: rockscache.NewClient(client, strong),
		Go:     gocache.New(&gocache.Options{Redis: client}),
	}
}

// Close ends the connections.
func (p *Peers) Close() error { return p.Redis.Close() }

func rocksKey(n int) string { return "rocks:" + strconv.Itoa(n) }

func goKey(n int) string { return "go-redis-cache:" + strconv.Itoa(n) }

func (p *Peers) load(ctx context.Context, n int) (body string, err error) {
	err = p.DB.QueryRow(ctx, "SELECT body FROM items WHERE id = $1", n).Scan(&body)
	return body, err
}

// TagAsDeleted is the UPDATE by itself, then rockscache's mark that the entry is deleted.
func (p *Peers) TagAsDeleted(ctx context.Context, c *turns.Client) error {
	n := c.Key()
	if _, err := p.DB.Exec(ctx, updateSQL, n, c.Payload()); err != nil {
		return err
	}
	return p.Weak.TagAsDeleted2(ctx, rocksKey(n))
}

// Fetch returns rockscache's read, in its eventual or its strong mode.
func (p *Peers) Fetch(rocks *rockscache.Client) func(context.Context, *turns.Client) error {
	return func(ctx context.Context, c *turns.Client) error {
		n := c.Key()
		_, err := rocks.Fetch2(ctx, rocksKey(n), ttl, func() (string, error) { return p.load(ctx, n) })
		return err
	}
}

// Set is the UPDATE by itself, then go-redis/cache's Set.
func (p *Peers) Set(ctx context.Context, c *turns.Client) error {
	n := c.Key()
	var body []byte
	if err := p.DB.QueryRow(ctx, returningSQL, n, c.Payload()).Scan(&body); err != nil {
		return err
	}
	return p.Go.Set(&gocache.Item{Ctx: ctx, Key: goKey(n), Value: body, TTL: ttl})
}

// Once is go-redis/cache's read, without a local cache.
func (p *Peers) Once(ctx context.Context, c *turns.Client) error {
	n := c.Key()
	var body []byte
	return p.Go.Once(&gocache.Item{Ctx: ctx, Key: goKey(n), Value: &body, TTL: ttl, Do: func(*gocache.Item) (any, error) {
		text, err := p.load(ctx, n)
		return []byte(text), err
	}})
}

// Fill brings all keys to both caches.
func (p *Peers) Fill(ctx context.Context) error {
	return eachRow(ctx, p.DB, "SELECT id, body FROM items", func(n int, body []byte) error {
		if _, err := p.Weak.Fetch2(ctx, rocksKey(n), ttl, func() (string, error) { return string(body), nil }); err != nil {
			return err
		}
		return p.Go.Set(&gocache.Item{Ctx: ctx, Key: goKey(n), Value: body, TTL: ttl})
	})
}
