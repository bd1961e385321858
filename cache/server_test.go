package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// told is what the server says of itself.
func (b *bench) told(t testing.TB, field string) string {
	t.Helper()
	info, err := b.cmd(t, "INFO", "everything").ToString()
	must(t, err)
	match := regexp.MustCompile(field + `:(\w+)`).FindStringSubmatch(info)
	if match == nil {
		t.Fatalf("the server does not tell its %s", field)
	}
	return match[1]
}

// leave has a canary be left in the one server that there is.
func (b *bench) leave(t testing.TB, database string, c cache.Canary) cache.Server {
	t.Helper()
	servers, err := b.Watch(t.Context(), database, map[string]cache.Canary{"": c})
	if must(t, err); len(servers) != 1 {
		t.Fatalf("there are the servers %+v", servers)
	}
	return servers[0]
}

// TestCanaryNamesItsServer leaves canaries that speak of this server and of others. Each look tells of the one that was there before.
func TestCanaryNamesItsServer(t *testing.T) {
	t.Parallel()
	b := on(t, stacktest.OwnValkey(t).URL())
	run, repl, database := b.told(t, "run_id"), b.told(t, "master_replid"), "db"
	there := ""
	for _, c := range []struct {
		what   string
		canary cache.Canary
		left   bool
	}{
		{"none", cache.Canary{}, false},
		{"one of this server", cache.Canary{RunID: run, ReplID: repl, Text: "first"}, true},
		{"one of the process before a promotion", cache.Canary{RunID: run, ReplID: strings.Repeat("0", 40), Text: "promoted"}, false},
		{"one of another process with this history", cache.Canary{RunID: strings.Repeat("0", 40), ReplID: repl, Text: "restarted"}, false},
		{"one of a server whose history is not known", cache.Canary{RunID: run, Text: "unknown"}, false},
		{"another one of this server", cache.Canary{RunID: run, ReplID: repl, Text: "second 2"}, true},
		{"none again", cache.Canary{}, false},
	} {
		got := b.leave(t, database, c.canary)
		if got.RunID != run || got.ReplID != repl || got.Shard != "" || got.Canary != there || got.Left != c.left {
			t.Errorf("%s: the server is %+v, and %q was there", c.what, got, there)
		}
		if c.left {
			there = c.canary.Text
		}
		if is := b.bytes(t, "tidelock:canary:"+database); is != there {
			t.Errorf("%s: the server bears %q, want %q", c.what, is, there)
		}
	}
	other := b.leave(t, "another", cache.Canary{RunID: run, ReplID: repl, Text: "of another"})
	if again := b.leave(t, "another", cache.Canary{}); other.Canary != "" || again.Canary != "of another" {
		t.Errorf("the canary of another database is %q, before that %q", again.Canary, other.Canary)
	}
	if got := b.leave(t, database, cache.Canary{}).Canary; got != there {
		t.Errorf("the canary %q became %q with another database's", there, got)
	}
	b.cmd(t, "DEL", "tidelock:canary:another")
	b.cmd(t, "RPUSH", "tidelock:canary:another", "a list")
	if got := b.leave(t, "another", cache.Canary{RunID: run, ReplID: repl, Text: "instead"}); got.Canary != "" || !got.Left {
		t.Errorf("with a list at its place the canary is %+v", got)
	}
}

// TestNoCanaryIn holds that neither a replica nor a server that does not say who it is counts as one that was watched.
func TestNoCanaryIn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin func(t *testing.T, b *bench) (url string)
		is    error
	}{
		"a replica": {func(t *testing.T, b *bench) string {
			follow(t, b, stacktest.Valkey(t).Addr())
			return "valkey://" + b.addr(t)
		}, cache.ErrUnavailable},
		"a server that we may not ask": {func(t *testing.T, b *bench) string {
			b.cmd(t, "ACL", "SETUSER", "mute", "on", ">secret", "~*", "+@all", "-info")
			return "valkey://mute:secret@" + b.addr(t)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := on(t, stacktest.OwnValkey(t).URL())
			canary := cache.Canary{RunID: b.told(t, "run_id"), ReplID: b.told(t, "master_replid"), Text: "canary"}
			c2 := rig.Cache(t, c.begin(t, b))
			canary.ReplID = b.told(t, "master_replid")
			for i, give := range []map[string]cache.Canary{nil, {"": canary}} {
				servers, err := c2.Watch(t.Context(), "db", give)
				if len(servers) != 0 || err == nil || c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("look %d: %+v, %v", i, servers, err)
				}
			}
			if got := b.bytes(t, "tidelock:canary:db"); got != "" {
				t.Errorf("the canary %q was left", got)
			}
		})
	}
}

// TestRepliesNameTheServer holds that each reply to an apply names the server that gave it, for records are retired by that word.
func TestRepliesNameTheServer(t *testing.T) {
	t.Parallel()
	const many = 100
	s := stacktest.OwnValkey(t)
	b := on(t, s.URL())
	b.cmd(t, "ACL", "SETUSER", "limited", "on", ">secret", "+@all", "~tidelock:*", "~ours:*")
	b.cmd(t, "ACL", "SETUSER", "mute", "on", ">secret", "+@all", "-info", "~*")
	run := b.told(t, "run_id")
	var changes []cache.Change
	for i := range many {
		changes = append(changes, allocated(value(fmt.Sprint("ours:", i), 1, "v")))
	}
	forbidden := append([]cache.Change{value("forbidden", 1, "v")}, changes...)
	for _, c := range []struct {
		what    string
		user    string
		before  []string
		changes []cache.Change
		server  string
	}{
		{"one change", "", nil, changes[:1], run},
		{"many", "", nil, changes, run},
		{"without the script", "", []string{"SCRIPT", "FLUSH"}, changes, run},
		{"the first is refused", "limited:secret@", nil, forbidden, run},
		{"the first is refused, without the script", "limited:secret@", []string{"SCRIPT", "FLUSH"}, forbidden, run},
		{"INFO is forbidden", "mute:secret@", nil, changes, ""},
	} {
		if c.before != nil {
			b.cmd(t, c.before...)
		}
		for i, r := range rig.Cache(t, "valkey://"+c.user+s.Addr()).Apply(t.Context(), c.changes...) {
			if key := c.changes[i].Key; key != "forbidden" && (r.Server != c.server || !r.Outcome.Done()) || key == "forbidden" && r.Outcome.Done() {
				t.Errorf("%s, %s: %+v, want it to name the server %q", c.what, key, r, c.server)
			}
		}
	}
}

// meddling does something before each pipeline.
type meddling struct {
	valkey.Client
	before func()
}

func (m meddling) DoMulti(ctx context.Context, commands ...valkey.Completed) []valkey.ValkeyResult {
	m.before()
	return m.Client.DoMulti(ctx, commands...)
}

// TestReplyNamesNoServerThatDidNotGiveIt moves the address to another server when an apply has seen whom its connections lead to, and has not been sent.
func TestReplyNamesNoServerThatDidNotGiveIt(t *testing.T) {
	t.Parallel()
	first, second := stacktest.OwnValkey(t), stacktest.OwnValkey(t)
	proxy := rig.Proxy(t, first.Addr())
	var c *cache.Cache
	moves := false
	move := func() {
		if !moves {
			return
		}
		moves = false
		before := c.Links()
		must(t, proxy.Retarget(second.Addr(), false))
		stacktest.Eventually(t, patience, func() bool {
			_, err := c.Get(t.Context(), "k")
			return err == nil && c.Links() != before
		}, "the other server answers")
	}
	c = rig.Cache(t, "valkey://"+proxy.Addr(), func(cfg *cache.Config) {
		cfg.Timeout = patience
		cfg.Wrap = func(client valkey.Client) valkey.Client { return meddling{client, move} }
		cfg.Tune = func(o *valkey.ClientOption) { o.PipelineMultiplex = -1 } // one connection, so that the next command meets the other server
	})
	must(t, c.Wait(within(t, patience)))
	apply := func() cache.Reply { return c.Apply(t.Context(), value("k", 1, "v"))[0] }
	if r := apply(); r.Server != on(t, first.URL()).told(t, "run_id") {
		t.Errorf("the first server's reply is %+v", r)
	}
	moves = true
	if r := apply(); r.Server == on(t, first.URL()).told(t, "run_id") || !r.Outcome.Done() {
		t.Errorf("the reply to a call that the address moved under is %+v", r)
	}
	if r := apply(); r.Server != on(t, second.URL()).told(t, "run_id") {
		t.Errorf("the second server's reply is %+v", r)
	}
}

// switching is a proxy that gives its clients' connections another server, as those that speak the protocol do.
type switching struct {
	net.Listener
	mu sync.Mutex
	to string
}

func (p *switching) upstream() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.to
}

func (p *switching) move(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

func (p *switching) serve() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		go p.carry(client)
	}
}

// carry sends each piece that a client sends to the server of the moment. The clients here send whole commands.
func (p *switching) carry(client net.Conn) {
	defer client.Close()
	var at string
	var server net.Conn
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if to := p.upstream(); to != at {
			if server, err = net.Dial("tcp", to); err != nil {
				return
			}
			defer server.Close()
			if at != "" { // the protocol is the one that was agreed on with the first
				if _, err := io.WriteString(server, "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"); err != nil {
					return
				}
				if _, err := server.Read(make([]byte, 1<<12)); err != nil {
					return
				}
			}
			at = to
			go func() { _, _ = io.Copy(client, server) }()
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// TestRepliesNameTheServerBehindAProxy that moves connections: it is noticed soon, and then each reply is asked for its server.
func TestRepliesNameTheServerBehindAProxy(t *testing.T) {
	t.Parallel()
	first, second := stacktest.OwnValkey(t), stacktest.OwnValkey(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	p := &switching{Listener: listener, to: first.Addr()}
	go p.serve()
	c := rig.Cache(t, "valkey://"+listener.Addr().String(), func(c *cache.Config) { c.Timeout = patience })
	must(t, c.Wait(within(t, patience)))
	apply := func() string { return c.Apply(t.Context(), value("k", 1, "v"))[0].Server }
	runs := []string{on(t, first.URL()).told(t, "run_id"), on(t, second.URL()).told(t, "run_id")}
	if got := apply(); got != runs[0] {
		t.Errorf("the first server's reply names %q, want %s", got, runs[0])
	}
	p.move(second.Addr())
	stacktest.Eventually(t, patience, func() bool { return apply() == runs[1] }, "a reply names the second server")
	for range 100 {
		if got := apply(); got != runs[1] {
			t.Fatalf("a reply of the second server names %q", got)
		}
	}
}

// TestConnectionsMayNotEndByAge: a pipeline that is continued on another connection may speak to two servers, and replies would name the
// wrong one.
func TestConnectionsMayNotEndByAge(t *testing.T) {
	t.Parallel()
	_, err := cache.New(t.Context(), cache.Config{URL: stacktest.Valkey(t).URL(), Tune: func(o *valkey.ClientOption) { o.ConnLifetime = time.Hour }})
	if err == nil || !strings.Contains(err.Error(), "ConnLifetime") {
		t.Errorf("got %v", err)
	}
}

// TestClusterServers holds the same of a cluster, whose shards are servers each with a canary in a slot of its own.
func TestClusterServers(t *testing.T) {
	t.Parallel()
	cluster, err := stack.StartValkeyCluster(t.Context(), clusterNodes)
	must(t, err)
	t.Cleanup(func() { must(t, cluster.Close()) })
	addrs := cluster.Addrs()
	c := rig.Cache(t, fmt.Sprintf("valkey://%s?addr=%s&addr=%s", addrs[0], addrs[1], addrs[2]))
	var nodes []*bench
	byRun := make(map[string]*bench)
	for _, node := range cluster.Nodes {
		b := &bench{raw: rig.Valkey(t, node.URL())}
		nodes, byRun[b.told(t, "run_id")] = append(nodes, b), b
	}
	keys, at := clusterKeys(t, nodes[0].raw)
	clusterWrites(t, c, keys)
	for i, r := range c.Apply(t.Context(), valuesOf(keys)...) {
		if byRun[r.Server] != nodes[at[i]] {
			t.Fatalf("%s is on node %d: %+v", keys[i], at[i], r)
		}
	}
	servers := clusterCanaries(t, c, byRun)
	clusterVisits(t, c, servers, byRun, keys, at, nodes)
}

func valuesOf(keys []string) (changes []cache.Change) {
	for i, key := range keys {
		changes = append(changes, value(key, int64(i+1), key))
	}
	return changes
}

// clusterCanaries leaves a canary in each shard but one, of which it says what is not so.
func clusterCanaries(t *testing.T, c *cache.Cache, byRun map[string]*bench) []cache.Server {
	t.Helper()
	servers, err := c.Watch(t.Context(), "db", nil)
	must(t, err)
	canaries := make(map[string]cache.Canary)
	for i, s := range servers {
		b := byRun[s.RunID]
		if shard, err := b.cmd(t, "CLUSTER", "MYSHARDID").ToString(); err != nil || shard != s.Shard || s.ReplID != b.told(t, "master_replid") {
			t.Errorf("the server is %+v, its shard %s, %v", s, shard, err)
		}
		canaries[s.Shard] = cache.Canary{RunID: s.RunID, ReplID: s.ReplID, Text: "of " + s.Shard}
		if i == 0 {
			canaries[s.Shard] = cache.Canary{RunID: servers[1].RunID, ReplID: servers[1].ReplID, Text: "wrong"}
		}
	}
	if len(servers) != clusterNodes || len(canaries) != clusterNodes {
		t.Fatalf("there are the servers %+v", servers)
	}
	for range 2 {
		servers, err = c.Watch(t.Context(), "db", canaries)
		must(t, err)
	}
	for i, s := range servers {
		keys, err := byRun[s.RunID].cmd(t, "KEYS", "tidelock:canary:db:*").AsStrSlice()
		if want := canaries[s.Shard].Text; i > 0 && (err != nil || len(keys) != 1 || s.Canary != want || !s.Left) {
			t.Errorf("the server %+v bears %v, %v; want the canary %q", s, keys, err, want)
		}
		if i == 0 && (len(keys) != 0 || s.Canary != "" || s.Left) {
			t.Errorf("the server %+v bears %v of another", s, keys)
		}
	}
	return servers
}

// clusterVisits drops and invalidates in one shard at a time: what others have stays.
func clusterVisits(t *testing.T, c *cache.Cache, servers []cache.Server, byRun map[string]*bench, keys []string, at []int, nodes []*bench) {
	t.Helper()
	const above = 200 // key i has version i+1
	versions := make(map[string]int64)
	for _, key := range keys {
		versions[key] = 150 // older are the first 149
	}
	visited := make(map[*bench]bool)
	for _, s := range servers {
		visited[byRun[s.RunID]] = true
		v := visit(t, c, s)
		if _, err := v.DropAbove(t.Context(), above, ignore); err != nil {
			t.Errorf("dropping in %+v: %v", s, err)
		}
		if refused, err := v.Invalidate(t.Context(), maps.Clone(versions)); err != nil || len(refused) != 0 {
			t.Errorf("invalidating in %+v: %v, %v", s, refused, err)
		}
		entries, err := c.GetMany(t.Context(), keys)
		must(t, err)
		for i, e := range entries {
			version := int64(i + 1)
			stays := !visited[nodes[at[i]]] || version >= 150 && version <= above
			if e.Hit() != stays || stays && e.Version != version {
				t.Fatalf("%s of version %d on node %d became %+v", keys[i], version, at[i], e)
			}
		}
	}
}
