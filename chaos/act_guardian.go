package chaos

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/internal/stack"
)

// awaitTime bounds the waiting for what a guardian does: if it never does it the rest of the scenario says so.
const awaitTime = 3 * time.Second

// cutFor cuts a group off from a server for so long.
func cutFor(who group, from link, d time.Duration) Fault {
	return func(ctx context.Context, s *Stage) error {
		nodes := who(s)
		return s.spoilFor(ctx, names(nodes)+" cut off from "+string(from), proxies(nodes, from), d, func(p *stack.Proxy) error { return p.Blackhole() })
	}
}

// stopAll stops processes where they stand, contAll lets them go on.
func stopAll(who group) Fault { return signalAll(who, syscall.SIGSTOP) }
func contAll(who group) Fault { return signalAll(who, syscall.SIGCONT) }

func signalAll(who group, sig syscall.Signal) Fault {
	return func(_ context.Context, s *Stage) error {
		var errs []error
		for _, n := range who(s) {
			errs = append(errs, n.current().Signal(sig))
		}
		s.count()
		return errors.Join(errs...)
	}
}

// killFor kills a group, and lets it stay away for so long.
func killFor(who group, away time.Duration) Fault {
	return func(_ context.Context, s *Stage) error {
		for _, n := range who(s) {
			if err := n.kill(away); err != nil {
				return err
			}
		}
		return nil
	}
}

// awaitAlive waits until all of a group have begun another life.
func awaitAlive(who group) Fault {
	return func(ctx context.Context, s *Stage) error {
		return await(ctx, func() bool {
			for _, n := range who(s) {
				select {
				case <-n.current().Done():
					return false
				default:
				}
			}
			return true
		})
	}
}

// theSecond of a group.
func theSecond(who group) group {
	return func(s *Stage) []*node { return who(s)[1:2] }
}

// primaryAgain tells the conductor that the first Valkey counts again.
func primaryAgain(_ context.Context, s *Stage) error {
	s.primaryIs(s.valkey)
	return nil
}

// awaitServer waits until a Valkey is on record.
func awaitServer(w which) Fault {
	return func(ctx context.Context, s *Stage) error {
		client, err := openValkey(fmt.Sprintf("valkey://%s", w(s).Addr()))
		if err != nil {
			return err
		}
		defer client.Close()
		run, err := runID(client.Do(ctx, client.B().Info().Section("server").Build()))
		if err != nil {
			return err
		}
		return awaitRecord("SELECT EXISTS (SELECT 1 FROM tidelock.servers WHERE run_id = $1)", run)(ctx, s)
	}
}

// awaitRepaired waits until a server is on record with nothing in doubt.
var awaitRepaired = awaitRecord("SELECT EXISTS (SELECT 1 FROM tidelock.servers WHERE repair_from IS NULL AND drop_above IS NULL)")

// awaitRecord waits until Postgres says yes.
func awaitRecord(question string, args ...any) Fault {
	return onPostgres(func(ctx context.Context, conn *pgx.Conn) error {
		return await(ctx, func() bool {
			var yes bool
			return conn.QueryRow(ctx, question, args...).Scan(&yes) != nil || yes
		})
	})
}

// awaitPoint waits until one of the processes reaches a moment: its log says so.
func awaitPoint(who group, at drive.Moment) Fault {
	return func(ctx context.Context, s *Stage) error {
		line := fmt.Sprintf(`"moment":"%s"`, at)
		reached := func() (times int) {
			for _, n := range who(s) {
				times += n.logged(line)
			}
			return times
		}
		before := reached()
		return await(ctx, func() bool { return reached() > before })
	}
}

// await waits until something is so, but not for ever.
func await(ctx context.Context, so func() bool) error {
	for end := time.Now().Add(awaitTime); !so() && time.Now().Before(end); {
		if err := sleep(ctx, 5*ms); err != nil {
			return err
		}
	}
	return nil
}

// lazyWAL lets Postgres leave what nobody waits for in memory.
var lazyWAL = onPostgres(func(ctx context.Context, conn *pgx.Conn) error {
	for _, statement := range []string{"ALTER SYSTEM SET wal_writer_delay = '10s'", "ALTER SYSTEM SET wal_writer_flush_after = '1GB'", "SELECT pg_reload_conf()"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
})

// awaitCanary waits until the guardian leaves another canary.
func awaitCanary(ctx context.Context, s *Stage) error {
	client := s.client()
	read := func() string {
		keys, err := client.Do(ctx, client.B().Keys().Pattern("tidelock:canary:*").Build()).AsStrSlice()
		if err != nil || len(keys) == 0 {
			return ""
		}
		text, _ := client.Do(ctx, client.B().Get().Key(keys[0]).Build()).ToString() // nothing is as before
		return text
	}
	before := read()
	return await(ctx, func() bool { return read() != before })
}

// burnXIDs rolls back transactions in a loop, some thousands a second, which takes an xid each and leaves nothing on the disk while there is room in the
// buffers of the log. It goes on in the background, until the server is killed or the most is over.
func burnXIDs(d, most time.Duration) Fault {
	return func(ctx context.Context, s *Stage) error {
		conn, err := pgx.Connect(ctx, s.databaseAt())
		if err != nil {
			return fmt.Errorf("connecting to burn xids: %w", err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer conn.Close(context.WithoutCancel(ctx))
			ctx, cancel := context.WithTimeout(ctx, most)
			defer cancel()
			const loop = "DO $$ BEGIN LOOP PERFORM pg_current_xact_id(), pg_sleep(0.0001); ROLLBACK; END LOOP; END $$"
			_, _ = conn.Exec(ctx, loop) // ends with the server, or with the time
		}()
		s.background = append(s.background, done)
		return sleep(ctx, d)
	}
}

// burnVersions draws versions that no row gets, as transactions do that are rolled back.
func burnVersions(n int) Fault {
	return onPostgres(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SELECT nextval('tidelock.version_seq') FROM generate_series(1, $1)", n)
		return err
	})
}

const (
	// loggedAhead is more versions than Postgres logs ahead.
	loggedAhead = 33
	// beyond is more than are drawn in a scenario.
	beyond = 100_000
)

// onPostgres does something over a connection of its own.
func onPostgres(do func(context.Context, *pgx.Conn) error) Fault {
	return func(ctx context.Context, s *Stage) error {
		ctx, cancel := context.WithTimeout(ctx, adminTimeout)
		defer cancel()
		conn, err := pgx.Connect(ctx, s.databaseAt())
		if err != nil {
			return fmt.Errorf("connecting for a fault: %w", err)
		}
		defer conn.Close(context.WithoutCancel(ctx))
		return do(ctx, conn)
	}
}
