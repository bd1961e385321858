package stack_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// TestProxyBlackholeToClient holds that the server hears everything while its answers vanish.
func TestProxyBlackholeToClient(t *testing.T) {
	t.Parallel()
	p, conn, ended := proxied(t)
	must(t, p.BlackholeOne(stack.ToClient))
	if err := echo(conn, moment); !isTimeout(err) {
		t.Errorf("an answer came: %v", err)
	}
	must(t, conn.(*net.TCPConn).CloseWrite())
	select {
	case err := <-ended:
		must(t, err) // in order
	case <-time.After(patience):
		t.Error("the server did not hear of the end")
	}
	must(t, p.Blackhole())
	if err := read(conn, moment); !isTimeout(err) {
		t.Errorf("after the other direction as well: %v", err)
	}
	must(t, p.BlackholeOne(stack.ToServer))
	if err := read(conn, patience); !isReset(err) {
		t.Errorf("once answers would pass again, but one is missing: %v", err)
	}
}

// TestProxyBlackholeToServer holds that what the server has to say arrives while it hears nothing.
func TestProxyBlackholeToServer(t *testing.T) {
	t.Parallel()
	p, server, client := bridged(t)
	must(t, p.BlackholeOne(stack.ToServer))
	_, err := server.Write([]byte("x"))
	must(t, err)
	must(t, read(client, patience))
	_, err = client.Write([]byte("x"))
	must(t, err)
	if err := read(server, moment); !isTimeout(err) {
		t.Errorf("the server heard something: %v", err)
	}
	must(t, p.BlackholeOne(stack.ToClient))
	if err := read(server, patience); !isReset(err) {
		t.Errorf("the server after the direction has changed: %v", err)
	}
}

// bridged is a proxy and the two ends of a connection through it.
func bridged(t *testing.T) (p *stack.Proxy, server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	p, err = stack.NewProxy(l.Addr().String())
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	client = dial(t, p)
	server, err = l.Accept()
	must(t, err)
	t.Cleanup(func() { _ = server.Close() })
	return p, server, client
}

// read waits for one byte.
func read(conn net.Conn, within time.Duration) error {
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

func TestProxyDrip(t *testing.T) {
	t.Parallel()
	p, server, client := bridged(t)
	if err := p.Drip(0); err == nil {
		t.Error("no rate is no error")
	}
	const bytes, rate = 100, 400
	must(t, p.Drip(rate))
	begin := time.Now()
	_, err := client.Write(make([]byte, bytes))
	must(t, err)
	must(t, server.SetReadDeadline(begin.Add(patience)))
	largest := 0
	for got := 0; got < bytes; {
		n, err := server.Read(make([]byte, bytes))
		must(t, err)
		got, largest = got+n, max(largest, n)
	}
	if took := time.Since(begin); took < bytes*time.Second/rate*3/4 {
		t.Errorf("%d bytes took %v", bytes, took)
	}
	if largest > bytes/2 {
		t.Errorf("%d bytes came at once", largest)
	}
	// What is on its way arrives at once when the network is well again.
	must(t, p.Drip(1))
	_, err = client.Write(make([]byte, bytes))
	must(t, err)
	must(t, p.Heal())
	must(t, server.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.ReadFull(server, make([]byte, bytes))
	must(t, err)
}

func TestProxyHalfOpen(t *testing.T) {
	t.Parallel()
	p, old, ended := proxied(t)
	must(t, p.HalfOpen())
	if err := <-ended; !isReset(err) {
		t.Errorf("the server's side: %v", err)
	}
	fresh := dial(t, p)
	for name, conn := range map[string]net.Conn{"old": old, "fresh": fresh} {
		if err := echo(conn, moment); !isTimeout(err) {
			t.Errorf("the %s connection: %v", name, err)
		}
	}
	must(t, p.Blackhole())
	if err := echo(old, moment); !isTimeout(err) {
		t.Errorf("in a blackhole afterwards: %v", err)
	}
	must(t, p.Heal())
	for name, conn := range map[string]net.Conn{"old": old, "fresh": fresh} {
		if err := echo(conn, patience); !isReset(err) {
			t.Errorf("the %s connection afterwards: %v", name, err)
		}
	}
	must(t, echo(dial(t, p), patience))
}

// TestProxySilentWithoutServer holds that nobody hears through a blackhole that the server is gone.
func TestProxySilentWithoutServer(t *testing.T) {
	t.Parallel()
	p, _, _ := proxied(t)
	free, err := stack.NewProxy("127.0.0.1:1")
	must(t, err)
	must(t, free.Close())
	must(t, p.Retarget(free.Addr(), true))
	must(t, p.BlackholeOne(stack.ToClient))
	conn := dial(t, p)
	if err := echo(conn, moment); !isTimeout(err) {
		t.Errorf("in the blackhole: %v", err)
	}
	must(t, p.Heal())
	if err := echo(conn, patience); !isReset(err) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestProxyRetarget(t *testing.T) {
	t.Parallel()
	a, b := stacktest.OwnValkey(t), stacktest.OwnValkey(t)
	must(t, set(t.Context(), valkeyClient(t, a.ClientOption()), "who", "a"))
	must(t, set(t.Context(), valkeyClient(t, b.ClientOption()), "who", "b"))
	p, err := stack.NewProxy(a.Addr())
	must(t, err)
	defer p.Close()
	opt := a.ClientOption()
	opt.InitAddress = []string{p.Addr()}
	old := valkeyClient(t, opt)
	holdWho := func(what string, want string) {
		t.Helper()
		stacktest.Eventually(t, patience, func() bool {
			got, err := get(within(t, time.Second), old, "who")
			return got == want && err == nil
		}, what)
	}
	must(t, p.Retarget(b.Addr(), true))
	holdWho("a connection stays where it is", "a")
	if got, err := get(within(t, patience), valkeyClient(t, opt), "who"); got != "b" || err != nil {
		t.Errorf("a new connection: %q, %v", got, err)
	}
	must(t, p.Retarget(b.Addr(), false))
	holdWho("the connection is made anew", "b")
	must(t, p.Cut())
	must(t, p.Heal())
	holdWho("the target outlives a fault", "b")
}
