package stack_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// moment is how long nothing must happen before a test believes that nothing will.
const moment = 150 * time.Millisecond

// echoServer sends back what it gets and reports the end of each connection.
func echoServer(t *testing.T) (addr string, ended chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ended = make(chan error, 1000)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				_, err := io.Copy(conn, conn)
				select {
				case ended <- err:
				default: // nobody counts that many
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return l.Addr().String(), ended
}

// proxied is a proxy in front of an echo server, and a connection through it that has been used.
func proxied(t *testing.T) (p *stack.Proxy, conn net.Conn, ended chan error) {
	t.Helper()
	addr, ended := echoServer(t)
	p, err := stack.NewProxy(addr)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	conn = dial(t, p)
	must(t, echo(conn, patience))
	return p, conn, ended
}

func dial(t *testing.T, p *stack.Proxy) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", p.Addr(), patience)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// echo sends a word and waits for it to come back.
func echo(conn net.Conn, within time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("word")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 4))
	return err
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func TestProxyBlackhole(t *testing.T) {
	t.Parallel()
	p, old, _ := proxied(t)
	idle := dial(t, p)
	must(t, echo(idle, patience))
	must(t, p.Blackhole())
	fresh := dial(t, p)
	for name, conn := range map[string]net.Conn{"old": old, "fresh": fresh} {
		if err := echo(conn, moment); !isTimeout(err) {
			t.Errorf("the %s connection: %v", name, err)
		}
	}
	must(t, p.Heal())
	if err := echo(old, patience); !isReset(err) {
		t.Errorf("the connection that lost data: %v", err)
	}
	must(t, echo(idle, patience))
	must(t, echo(dial(t, p), patience))
}

// TestProxyBlackholeHidesTheEnd holds that the server of a client which vanishes in a blackhole hears of it no sooner
// than the network is back.
func TestProxyBlackholeHidesTheEnd(t *testing.T) {
	t.Parallel()
	p, conn, ended := proxied(t)
	must(t, p.Blackhole())
	must(t, conn.Close())
	select {
	case err := <-ended:
		t.Errorf("the server heard of the end: %v", err)
	case <-time.After(moment):
	}
	must(t, p.Heal())
	if err := <-ended; !isReset(err) {
		t.Errorf("the server's connection ended with %v", err)
	}
}

func TestProxyReset(t *testing.T) {
	t.Parallel()
	p, old, ended := proxied(t)
	must(t, p.Reset())
	if err := echo(old, patience); !isReset(err) {
		t.Errorf("the old connection: %v", err)
	}
	if err := <-ended; !isReset(err) {
		t.Errorf("the server's side: %v", err)
	}
	// The reset may come before dialling has returned.
	fresh, err := net.DialTimeout("tcp", p.Addr(), patience)
	if err == nil {
		err = echo(fresh, patience)
		_ = fresh.Close()
	}
	if !isReset(err) {
		t.Errorf("a fresh connection: %v", err)
	}
	must(t, p.Heal())
	must(t, echo(dial(t, p), patience))
}

func TestProxySlow(t *testing.T) {
	t.Parallel()
	const latency = 100 * time.Millisecond
	p, conn, _ := proxied(t)
	must(t, p.Slow(latency))
	begin := time.Now()
	must(t, echo(conn, patience))
	if took := time.Since(begin); took < 2*latency {
		t.Errorf("there and back took %v", took)
	}
	// What is on its way arrives at once when the network is well again.
	must(t, p.Slow(time.Hour))
	_, err := conn.Write([]byte("word"))
	must(t, err)
	must(t, p.Heal())
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.ReadFull(conn, make([]byte, 4))
	must(t, err)
}

func TestProxyCut(t *testing.T) {
	t.Parallel()
	p, old, _ := proxied(t)
	addr := p.Addr()
	must(t, p.Cut())
	if err := echo(old, patience); !isReset(err) {
		t.Errorf("the old connection: %v", err)
	}
	if _, err := net.DialTimeout("tcp", addr, patience); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a fresh connection: %v", err)
	}
	must(t, p.Heal())
	if p.Addr() != addr {
		t.Errorf("%s became %s", addr, p.Addr())
	}
	must(t, echo(dial(t, p), patience))
	must(t, p.Close())
	if err := p.Heal(); !errors.Is(err, stack.ErrProxyClosed) {
		t.Errorf("Heal after Close: %v", err)
	}
}

func TestProxyPassesHalfClose(t *testing.T) {
	t.Parallel()
	_, conn, ended := proxied(t)
	_, err := conn.Write(make([]byte, 1<<20))
	must(t, err)
	must(t, conn.(*net.TCPConn).CloseWrite())
	data, err := io.ReadAll(conn)
	if len(data) != 1<<20 || err != nil {
		t.Errorf("got %d bytes, %v", len(data), err)
	}
	must(t, <-ended)
}

// TestProxyFaultsUnderTraffic changes faults while clients come, go and leave data on its way.
func TestProxyFaultsUnderTraffic(t *testing.T) {
	t.Parallel()
	p, _, _ := proxied(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			for ctx.Err() == nil {
				conn, err := net.DialTimeout("tcp", p.Addr(), time.Second)
				if err != nil {
					time.Sleep(time.Millisecond)
					continue
				}
				_, _ = conn.Write(make([]byte, 100_000))
				_ = echo(conn, 10*time.Millisecond)
				_ = conn.Close()
			}
		})
	}
	slow := func() error { return p.Slow(time.Millisecond) }
	drip := func() error { return p.Drip(1000) }
	one := func() error { return p.BlackholeOne(stack.ToServer) }
	for ctx.Err() == nil {
		for _, f := range []func() error{p.Blackhole, p.Heal, p.Reset, slow, p.HalfOpen, p.Blackhole, p.Cut, p.Heal, drip, one, p.HalfOpen} {
			must(t, f())
			time.Sleep(2 * time.Millisecond)
		}
	}
	clients.Wait()
	must(t, p.Heal())
	must(t, echo(dial(t, p), patience))
}

func TestProxyBeforeValkey(t *testing.T) {
	t.Parallel()
	v := stacktest.Valkey(t)
	p, err := stack.NewProxy(v.Addr())
	must(t, err)
	defer p.Close()
	opt := v.ClientOption()
	opt.InitAddress = []string{p.Addr()}
	c := valkeyClient(t, opt)
	must(t, set(within(t, patience), c, "proxied", "v"))
	must(t, p.Blackhole())
	if err := set(within(t, moment), c, "proxied", "w"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("through a blackhole: %v", err)
	}
	must(t, p.Cut())
	if err := set(within(t, patience), c, "proxied", "w"); err == nil {
		t.Error("through a cut: no error")
	}
	must(t, p.Heal())
	stacktest.Eventually(t, patience, func() bool { return set(within(t, time.Second), c, "proxied", "x") == nil },
		"the client reconnects")
}
