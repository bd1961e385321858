package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/outbox"
)

// rebuildEach restarts the processes of a group, one after the other, as ones of the other build or of our own.
func rebuildEach(who group, other bool) Fault {
	return func(ctx context.Context, s *Stage) error {
		s.count()
		for _, n := range who(s) {
			if err := n.rebuild(ctx, s, other); err != nil {
				return fmt.Errorf("restarting %s: %w", n.name, err)
			}
		}
		return nil
	}
}

// rebuild ends the present life and waits until the next one, of the other build or of ours, is at work.
func (n *node) rebuild(ctx context.Context, s *Stage, other bool) error {
	n.mu.Lock()
	n.build = ""
	if other {
		n.build = s.other
	}
	n.mu.Unlock()
	before := n.logged("_started")
	if err := n.current().stop(); err != nil {
		return err
	}
	for until := time.Now().Add(adminTimeout); n.logged("_started") == before; {
		if time.Now().After(until) {
			return errors.New("the next build does not start")
		}
		if err := sleep(ctx, 20*ms); err != nil {
			return err
		}
	}
	return nil
}

// writeFormat has entries written in a format.
func writeFormat(format int) Fault {
	return func(ctx context.Context, s *Stage) error {
		conn, err := pgx.Connect(ctx, s.databaseURL)
		if err != nil {
			return fmt.Errorf("connecting to postgres: %w", err)
		}
		defer conn.Close(context.WithoutCancel(ctx))
		return outbox.SetFormat(ctx, conn, format)
	}
}

// awaitFormat waits until values of a format are there: else the scenario would show nothing.
func awaitFormat(format int) Fault {
	return func(ctx context.Context, s *Stage) error {
		want := fmt.Sprintf("tl%d V ", format)
		for until := time.Now().Add(adminTimeout); time.Now().Before(until); {
			for i := range s.keys {
				client := s.client()
				text, err := client.Do(ctx, client.B().Getrange().Key(drive.RowKey(i)).Start(0).End(int64(len(want))-1).Build()).ToString()
				if err == nil && strings.HasPrefix(text, want) {
					return nil
				}
			}
			if err := sleep(ctx, 50*ms); err != nil {
				return err
			}
		}
		return fmt.Errorf("nobody has written an entry of format %d", format)
	}
}
