package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/tidelock-cache/tidelock/internal/dashboard"
	"github.com/tidelock-cache/tidelock/internal/demo"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/migrations"
)

type devCmd struct {
	Dir     string `help:"Keep the servers' data in this folder. Default: a temporary one, removed at the end." placeholder:"FOLDER" type:"path"`
	Listen  string `help:"Serve the dashboard at this address of this machine." placeholder:"HOST:PORT" default:"127.0.0.1:0"`
	Traffic bool   `help:"Write and read flights, a little." default:"true" negatable:""`
	Open    bool   `help:"Open the dashboard in a browser."`
}

const devText = `
The dashboard is at %[6]s

The stack is up, with a relay. In another terminal:

  export TIDELOCK_DATABASE_URL='%[1]s'
  export TIDELOCK_VALKEY_URL='%[2]s'
  export TIDELOCK_NATS_URL='%[3]s'

Write by hand what the package writer would write, and see the relay bring it to the cache:

  psql "$TIDELOCK_DATABASE_URL" -c "
    WITH v AS (INSERT INTO tidelock.versions AS v (key, version, xid)
               VALUES ('hello', nextval('tidelock.version_seq'), pg_current_xact_id())
               ON CONFLICT (key) DO UPDATE SET version = nextval('tidelock.version_seq'), xid = excluded.xid
               RETURNING key, version)
    INSERT INTO tidelock.outbox (version, key, kind, payload, ttl_ms, allocate, due_at)
    SELECT version, key, 'set', 'world', 3600000, true, now() FROM v"
  %[4]s inspect hello
  %[4]s outbox

Do it again while Valkey hangs, and let it go on:

  kill -STOP %[5]d
  kill -CONT %[5]d

Ctrl-C here ends everything.
`

// Validate refuses to serve anybody else: on the dashboard of this stack there is no token.
func (c devCmd) Validate() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("--listen must be an address of this machine alone, such as 127.0.0.1:8080")
	}
	return nil
}

// Run starts the stack and a relay and waits.
func (c devCmd) Run(ctx context.Context, s *Settings) (err error) {
	servers, err := stack.Start(ctx, stack.Config{Dir: c.Dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()
	if _, err := migrations.Up(ctx, servers.Postgres.URL()); err != nil {
		return err
	}
	local := Settings{LogFormat: s.LogFormat, LogLevel: s.LogLevel, OTLPEndpoint: s.OTLPEndpoint,
		DatabaseURL: servers.Postgres.URL(), ValkeyURL: servers.Valkey.URL(), NATSURL: servers.NATS.URL()}
	r := &relayCmd{Stream: "TIDELOCK", AuditRate: 500, Listen: c.Listen, listening: func(addr string) {
		page := "http://" + addr + "/"
		fmt.Printf(devText, servers.Postgres.URL(), servers.Valkey.URL(), servers.NATS.URL(), self(), servers.Valkey.Pid(), page)
		if c.Open {
			openPage(page)
		}
	}}
	r.page = dashboard.Config{Open: true, Actions: valkeyActions(servers.Valkey)}
	if !c.Traffic {
		return r.Run(ctx, &local)
	}
	light, err := demo.NewLight(ctx, servers)
	if err != nil {
		return err
	}
	defer light.Close()
	r.page.Row = light.Row
	ctx, stop := context.WithCancel(ctx)
	var traffic sync.WaitGroup
	traffic.Go(func() { light.Run(ctx) })
	err = r.Run(ctx, &local)
	stop()
	traffic.Wait()
	return err
}

// openPage opens a page in the browser, where there is one.
func openPage(url string) {
	program := "xdg-open"
	if runtime.GOOS == "darwin" {
		program = "open"
	}
	cmd := exec.Command(program, url)
	if cmd.Start() != nil {
		return // its address stands on the terminal
	}
	go func() { _ = cmd.Wait() }() // it ends by itself, and its end is nobody's business
}

// self is how to call this program from the folder that the user is in.
func self() string {
	path, err := os.Executable()
	if err != nil {
		return "tidelock"
	}
	if here, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(here, path); err == nil && len(short) < len(path) {
			return short
		}
	}
	return path
}
