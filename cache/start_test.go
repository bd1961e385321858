package cache_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

const secret = "s3cr3t/w:rd"

// allocation goes the way of a first write: it needs both kinds of reply and a read.
func allocation(ctx context.Context, c *cache.Cache, key string) error {
	r := c.Apply(ctx, allocated(value(key, 5, "v")))[0]
	if r.Outcome != cache.Check {
		return fmt.Errorf("asking for a ticket: %v, %w", r.Outcome, r.Err)
	}
	if r = c.Apply(ctx, ticketed(value(key, 5, "v"), r.Ticket))[0]; r.Outcome != cache.Applied {
		return fmt.Errorf("applying: %v, %w", r.Outcome, r.Err)
	}
	if e, err := c.Get(ctx, key); err != nil || string(e.Payload) != "v" {
		return fmt.Errorf("got %+v, %w", e, err)
	}
	return nil
}

func allocate(t *testing.T, c *cache.Cache, key string) {
	t.Helper()
	must(t, allocation(t.Context(), c, key))
}

// recovers waits until the cache works again. A client has several connections, and finds each broken once.
func recovers(t *testing.T, c *cache.Cache) {
	t.Helper()
	stacktest.Eventually(t, patience, func() bool { return allocation(t.Context(), c, rand.Text()) == nil }, "the cache works again")
}

func TestStartsBeforeServer(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	must(t, server.Kill())
	began := time.Now()
	c := rig.Cache(t, server.URL(), quick)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("New took %v", took)
	}
	if c.Breaker() == cache.Closed {
		t.Error("the breaker is closed")
	}
	if _, err := c.Get(t.Context(), "k"); !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("Get: %v", err)
	}
	must(t, server.Start(t.Context()))
	must(t, c.Wait(within(t, 5*time.Second))) // a hundred probes
	recovers(t, c)
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	server, err := stack.StartValkey(t.Context(), stack.ValkeyConfig{Password: secret})
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	b := on(t, server.URL())
	b.cmd(t, "ACL", "SETUSER", "tidelock", "on", ">"+secret, "~*", "+@all")
	b.cmd(t, "ACL", "SETUSER", "reader", "on", ">"+secret, "~*", "+@read", "+@connection")
	login := func(user, password string) string {
		u := url.URL{Scheme: "valkey", Host: server.Addr(), User: url.UserPassword(user, password)}
		return u.String()
	}
	for name, good := range map[string]string{"password alone": login("", secret), "user": login("tidelock", secret), "default user": login("default", secret)} {
		t.Run(name, func(t *testing.T) { allocate(t, rig.Cache(t, good), b.key(name)) })
	}
	for name, bad := range map[string]string{
		"none": "valkey://" + server.Addr(), "wrong": login("", "wr0ng"+secret), "wrong for the user": login("tidelock", "wr0ng"+secret), "unknown user": login("nobody", secret),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cache.New(t.Context(), cache.Config{URL: bad})
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), server.Addr()) || !(strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), "NOAUTH")) {
				t.Errorf("it does not say what is wrong where: %v", err)
			}
			if strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("it gives the password away: %v", err)
			}
		})
	}
	t.Run("user may not write", func(t *testing.T) {
		r := rig.Cache(t, login("reader", secret)).Apply(t.Context(), value(b.key("k"), 5, "v"))[0]
		if reply, ok := valkey.IsValkeyErr(r.Err); r.Outcome != cache.Failed || !ok || !strings.HasPrefix(reply.Error(), "NOPERM") {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("changed later", func(t *testing.T) { passwordChanged(t, b, server) })
}

// passwordChanged holds that a server which no longer lets us in counts as down, and is found again when it does.
func passwordChanged(t *testing.T, b *bench, server *stack.Valkey) {
	b.cmd(t, "ACL", "SETUSER", "rotated", "on", ">first", "~*", "+@all")
	c := rig.Cache(t, "valkey://rotated:first@"+server.Addr(), quick)
	recovers(t, c)
	b.cmd(t, "ACL", "SETUSER", "rotated", "resetpass", ">second")
	b.cmd(t, "CLIENT", "KILL", "USER", "rotated")
	stacktest.Eventually(t, patience, func() bool {
		_, err := c.Get(t.Context(), "k")
		return errors.Is(err, cache.ErrUnavailable) && c.Breaker() != cache.Closed
	}, "the breaker opens")
	b.cmd(t, "ACL", "SETUSER", "rotated", ">first")
	must(t, c.Wait(within(t, patience)))
	recovers(t, c)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	server, err := stack.StartValkey(t.Context(), stack.ValkeyConfig{TLS: true, Password: secret})
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	if !strings.HasPrefix(server.URL(), "valkeys://") {
		t.Fatalf("the URL is %s", server.URL())
	}
	trusting := func(c *cache.Config) {
		quick(c)
		c.Timeout = 2 * time.Second
		c.Tune = func(o *valkey.ClientOption) { o.TLSConfig.RootCAs = server.Certs().Pool }
	}
	c := rig.Cache(t, server.URL(), trusting)
	allocate(t, c, "k")
	must(t, server.Kill())
	must(t, server.Start(t.Context()))
	recovers(t, c)

	stranger := rig.Cache(t, server.URL(), quick)
	if _, err := stranger.Get(t.Context(), "k"); !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("without the authority: %v", err)
	}
}

func TestDatabaseNumber(t *testing.T) {
	t.Parallel()
	server := stacktest.Valkey(t).URL()
	key := t.Name()
	allocate(t, rig.Cache(t, server+"/3"), key)
	if got := on(t, server+"/3").bytes(t, key); got != "tl1 V 5\nv" {
		t.Errorf("database 3 holds %q", got)
	}
	if got := on(t, server).bytes(t, key); got != "" {
		t.Errorf("database 0 holds %q", got)
	}
	if _, err := cache.New(t.Context(), cache.Config{URL: server + "/9999"}); err == nil || !strings.Contains(err.Error(), "DB index") {
		t.Errorf("a database that is not there: %v", err)
	}
}

// TestBadURL holds that the error names the field and the problem and shows no piece of the password, not even of one that was not escaped.
func TestBadURL(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ url, want string }{
		"empty":               {"", "URL is empty"},
		"no scheme":           {"127.0.0.1:6379", "it is no URL"},
		"host for a scheme":   {"localhost:6379", "scheme"},
		"another scheme":      {"http://:hunter2@127.0.0.1:6379", "scheme"},
		"scheme forgotten":    {"user:hunter2@127.0.0.1:6379", "scheme"},
		"percent sign":        {"valkey://:hunter2%zz@127.0.0.1:6379", "it is no URL"},
		"percent and quote":   {`valkey://:hunter2"%zz@127.0.0.1:6379`, "it is no URL"},
		"slash":               {"valkey://:pass/hunter2@127.0.0.1:6379", "it is no URL"},
		"slash after digits":  {"valkey://user:12/hunter2@127.0.0.1:6379", "database number"},
		"two slashes":         {"valkey://user:12/hunter2/x@127.0.0.1:6379", "database number"},
		"hash":                {"valkey://user:12#hunter2@127.0.0.1:6379", "it is no URL"},
		"line break":          {"valkey://:hunter2\n@127.0.0.1:6379", "it is no URL"},
		"database not number": {"valkey://:hunter2@127.0.0.1:6379/main", "database number"},
		"bad parameter":       {"valkey://:hunter2@127.0.0.1:6379?dial_timeout=hunter2", "parameter"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cache.New(t.Context(), cache.Config{URL: c.url})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "URL") {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "zz") {
				t.Errorf("it gives the password away: %v", err)
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]cache.Config{
		"Timeout": {Timeout: -1}, "PayloadMax": {PayloadMax: -1}, "PlaceholderTTL": {PlaceholderTTL: time.Microsecond}, "BreakerFailures": {BreakerFailures: -1}, "ProbeInterval": {ProbeInterval: -1},
	} {
		cfg.URL = "valkey://127.0.0.1"
		if _, err := cache.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("cache: %s is", field)) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
