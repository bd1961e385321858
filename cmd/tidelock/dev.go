package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/migrations"
)

type devCmd struct {
	Dir string `help:"Keep the servers' data in this folder. Default: a temporary one, removed at the end." placeholder:"FOLDER" type:"path"`
}

const devText = `
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
	fmt.Printf(devText, servers.Postgres.URL(), servers.Valkey.URL(), servers.NATS.URL(), self(), servers.Valkey.Pid())
	local := Settings{LogFormat: s.LogFormat, LogLevel: s.LogLevel,
		DatabaseURL: servers.Postgres.URL(), ValkeyURL: servers.Valkey.URL(), NATSURL: servers.NATS.URL()}
	return (&relayCmd{Stream: "TIDELOCK", AuditRate: 500}).Run(ctx, &local)
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
