package cache

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"
)

// Links are the servers that a Cache is connected to at an instant, each by its run id, which is another with each start of a server. A server
// that may not be asked (its ACL forbids INFO) has an empty one.
type Links struct{ Runs []string }

// Links returns the servers that calls may reach now. A call was answered by one of them if Links returns the same pointer before it and after it:
// then nobody else was connected in between. It costs no command: each connection learns whom it speaks to when it is made.
func (c *Cache) Links() *Links { return c.links.now.Load() }

// sole is the one server, or empty.
func (l *Links) sole() string {
	if len(l.Runs) != 1 {
		return ""
	}
	return l.Runs[0]
}

// links keeps account of the connections.
type links struct {
	now       atomic.Pointer[Links]
	compared  atomic.Int64 // when a server was last asked over a connection that was made before, since start
	elsewhere atomic.Bool  // it was another one

	mu   sync.Mutex
	open map[*link]string // run ids
}

func newLinks() *links {
	l := &links{open: make(map[*link]string)}
	l.now.Store(&Links{})
	return l
}

// compareEvery is how often a server is asked who it is though the links tell.
const compareEvery = time.Second

// doubtful reports whether the links are not to be believed, or to be compared now with what a server says: a proxy that speaks the protocol may give a connection
// another server, and not tell.
func (l *links) doubtful() bool {
	now, last := int64(time.Since(start)), l.compared.Load()
	due := now-last >= int64(compareEvery) && l.compared.CompareAndSwap(last, now)
	return due || l.elsewhere.Load()
}

// compare takes what servers have said of themselves. From the first that is not the one which its connection was made to, the links are not believed any more.
func (l *links) compare(before *Links, servers map[int]string) {
	sole := before.sole()
	if sole == "" || before != l.now.Load() {
		return
	}
	for _, server := range servers {
		if server != sole {
			l.elsewhere.Store(true)
		}
	}
}

// change does something to the connections that are open.
func (l *links) change(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
	next := &Links{}
	for _, run := range l.open {
		if !slices.Contains(next.Runs, run) {
			next.Runs = append(next.Runs, run)
		}
	}
	slices.Sort(next.Runs)
	if !slices.Equal(next.Runs, l.now.Load().Runs) {
		l.now.Store(next)
	}
}

// link is a connection that says when it is closed.
type link struct {
	net.Conn
	of *links
}

// Close closes the connection.
func (c *link) Close() error {
	err := c.Conn.Close()
	c.of.change(func() { delete(c.of.open, c) })
	return err
}

// hook has every connection of the client's ask its server who it is, before anything else is sent.
func (l *links) hook(option *valkey.ClientOption) {
	dial := option.DialCtxFn
	if dial == nil {
		dial = dialPlain
	}
	asked := *option
	option.DialCtxFn = func(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
		keep(ctx)
		conn, err := dial(ctx, address, dialer, config)
		if err != nil {
			return nil, err
		}
		run, serves, err := whoIs(ctx, conn, &asked, orDefault(dialer.Timeout, time.Second))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("asking %s who it is: %w", address, err), conn.Close())
		}
		if !serves {
			return conn, nil
		}
		c := &link{Conn: conn, of: l}
		l.change(func() { l.open[c] = run })
		return c, nil
	}
}

func dialPlain(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	if config != nil {
		return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", address)
	}
	return dialer.DialContext(ctx, "tcp", address)
}

// whoIs asks a server on a fresh connection for its run id. A sentinel serves nobody. It waits no longer than the call that the connection is made for.
func whoIs(ctx context.Context, conn net.Conn, option *valkey.ClientOption, timeout time.Duration) (run string, serves bool, err error) {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", false, err
	}
	detach := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) }) // fails on a closed connection, which waits for nothing
	defer func() {
		if !detach() && err == nil {
			err = ctx.Err() // the deadline may have been set after it was cleared
		}
	}()
	in := bufio.NewReader(conn)
	user, password, err := credentials(conn, option)
	if err != nil {
		return "", false, err
	}
	if password != "" {
		words := []string{"AUTH", password}
		if user != "" {
			words = []string{"AUTH", user, password}
		}
		if _, err := say(conn, in, words...); err != nil {
			return "", false, err
		}
	}
	info, err := say(conn, in, "INFO", "server")
	if s := option.Sentinel; err == nil && info == "" && s.Password != "" { // a sentinel may have credentials of its own
		if _, err := say(conn, in, "AUTH", cmp.Or(s.Username, "default"), s.Password); err != nil {
			return "", false, err
		}
		info, err = say(conn, in, "INFO", "server")
	}
	if err != nil {
		return "", false, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return "", false, err
	}
	return runIDIn(info), !strings.Contains(info, "_mode:sentinel"), nil
}

func runIDIn(info string) string {
	_, rest, _ := strings.Cut(info, "run_id:")
	run, _, _ := strings.Cut(rest, "\r\n")
	return run
}

// credentials are those that the library will use.
func credentials(conn net.Conn, option *valkey.ClientOption) (user, password string, err error) {
	if option.AuthCredentialsFn == nil {
		return option.Username, option.Password, nil
	}
	c, err := option.AuthCredentialsFn(valkey.AuthCredentialsContext{Address: conn.RemoteAddr()})
	return c.Username, c.Password, err
}

// say sends a command and returns its reply. A reply that is an error is an empty one: the library will meet it too, and tell.
func say(conn net.Conn, in *bufio.Reader, words ...string) (string, error) {
	var command strings.Builder
	fmt.Fprintf(&command, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&command, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := io.WriteString(conn, command.String()); err != nil {
		return "", err
	}
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	length, bulk := strings.CutPrefix(strings.TrimSpace(line), "$")
	if !bulk {
		return "", nil
	}
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || n > infoMost {
		return "", fmt.Errorf("the reply begins with %q", line)
	}
	reply := make([]byte, n+len("\r\n"))
	_, err = io.ReadFull(in, reply)
	return string(reply[:n]), err
}

// infoMost bounds what a server may say of itself.
const infoMost = 1 << 20
