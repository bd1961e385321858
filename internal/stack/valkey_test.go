package stack_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

func TestValkeyKilledAndStarted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"empty":       {nil, ""},
		"append only": {[]string{"--appendonly", "yes", "--appendfsync", "always"}, "v"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := stacktest.OwnValkey(t, c.args...)
			addr := v.Addr()
			must(t, set(t.Context(), valkeyClient(t, v.ClientOption()), "k", "v"))
			must(t, v.Kill())
			must(t, v.Kill())
			must(t, v.Start(t.Context()))
			if v.Addr() != addr {
				t.Errorf("%s became %s", addr, v.Addr())
			}
			if got, err := get(t.Context(), valkeyClient(t, v.ClientOption()), "k"); got != c.want || err != nil {
				t.Errorf("after SIGKILL got %q, %v", got, err)
			}
			must(t, v.Stop(t.Context()))
			must(t, v.Wipe())
			must(t, v.Start(t.Context()))
			if got, err := get(t.Context(), valkeyClient(t, v.ClientOption()), "k"); got != "" || err != nil {
				t.Errorf("after Wipe got %q, %v", got, err)
			}
		})
	}
}

func TestValkeyPausedAndResumed(t *testing.T) {
	t.Parallel()
	v := stacktest.OwnValkey(t)
	c := valkeyClient(t, v.ClientOption())
	must(t, set(t.Context(), c, "k", "v"))
	must(t, v.Pause())
	if _, err := get(within(t, 200*time.Millisecond), c, "k"); err == nil {
		t.Error("a paused valkey answered")
	}
	must(t, v.Resume())
	got, err := get(within(t, patience), c, "k")
	if got != "v" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestValkeyPassword(t *testing.T) {
	t.Parallel()
	v, err := stack.StartValkey(t.Context(), stack.ValkeyConfig{Password: "p@ss/w:rd"})
	must(t, err)
	defer v.Close()
	opt, err := valkey.ParseURL(v.URL())
	must(t, err)
	must(t, set(t.Context(), valkeyClient(t, opt), "k", "v"))
	opt.Password, opt.Username = "", ""
	opt.DisableCache = true
	c, err := valkey.NewClient(opt)
	if err == nil {
		err = set(t.Context(), c, "k", "v")
		c.Close()
	}
	if err == nil {
		t.Error("no password was needed")
	}
}

func TestValkeyTLS(t *testing.T) {
	t.Parallel()
	v, err := stack.StartValkey(t.Context(), stack.ValkeyConfig{TLS: true})
	must(t, err)
	defer v.Close()
	if !strings.HasPrefix(v.URL(), "valkeys://127.0.0.1:") {
		t.Errorf("the URL is %s", v.URL())
	}
	must(t, set(t.Context(), valkeyClient(t, v.ClientOption()), "k", "v"))
	must(t, v.Kill())
	must(t, v.Start(t.Context()))
	must(t, set(t.Context(), valkeyClient(t, v.ClientOption()), "k", "v"))

	opt := v.ClientOption()
	opt.TLSConfig.RootCAs = nil // the system's own authorities do not know ours
	opt.DisableRetry = true
	if c, err := valkey.NewClient(opt); err == nil {
		c.Close()
		t.Error("a client that does not trust the authority was let in")
	}
}

func TestValkeyWithBadArgumentTellsWhy(t *testing.T) {
	t.Parallel()
	v, err := stack.StartValkey(t.Context(), stack.ValkeyConfig{}, "--no-such-setting", "yes")
	if err == nil {
		v.Close()
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), "no-such-setting") {
		t.Errorf("the error does not quote the log: %v", err)
	}
}

func TestStartAfterClose(t *testing.T) {
	t.Parallel()
	v, err := stack.StartValkey(t.Context(), stack.ValkeyConfig{})
	must(t, err)
	must(t, v.Close())
	must(t, v.Close())
	if err := v.Start(t.Context()); !errors.Is(err, stack.ErrClosed) {
		t.Errorf("Start after Close: %v", err)
	}
}

func TestValkeyCluster(t *testing.T) {
	t.Parallel()
	cl, err := stack.StartValkeyCluster(t.Context(), 3)
	must(t, err)
	defer cl.Close()
	c := valkeyClient(t, valkey.ClientOption{InitAddress: cl.Addrs()})
	for key := range strings.SplitSeq("abcdefghijklmnop", "") {
		must(t, set(within(t, patience), c, key, key))
	}
	used := 0
	for _, node := range cl.Nodes {
		one := node.ClientOption()
		one.ForceSingleClient = true
		n, err := valkeyClient(t, one).Do(t.Context(), c.B().Dbsize().Build()).AsInt64()
		must(t, err)
		if n > 0 {
			used++
		}
	}
	if used != 3 {
		t.Errorf("%d of 3 nodes hold keys", used)
	}
	must(t, cl.Nodes[1].Kill())
	must(t, cl.Nodes[1].Start(t.Context()))
	must(t, cl.AwaitWhole(within(t, patience)))
	if _, err := stack.StartValkeyCluster(t.Context(), 2); err == nil {
		t.Error("a cluster of two was started")
	}
}
