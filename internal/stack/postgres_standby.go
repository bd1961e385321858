package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os/exec"
	"time"

	"github.com/jackc/pgx/v5"
)

// promoteTimeout bounds a promotion: the standby replays what it has received first.
const promoteTimeout = 30 * time.Second

var errInRecovery = errors.New("it is still in recovery")

// StartStandby starts a standby that follows a primary asynchronously: a commit is acknowledged before the standby has heard of it. It
// begins with a copy of the primary, answers queries, and has the primary's settings unless cfg says otherwise. Wipe makes the
// next Start take a new copy. The standby stays as it is when the primary stops or dies, and goes on when it is back.
func StartStandby(ctx context.Context, primary *Postgres, cfg PostgresConfig) (*Postgres, error) {
	settings := maps.Clone(primary.drv.cfg.Settings)
	if settings == nil {
		settings = map[string]string{}
	}
	maps.Copy(settings, cfg.Settings) // fewer connections than the primary has would keep it from starting
	cfg.Settings = settings
	link, err := NewProxy(primary.Addr())
	if err != nil {
		return nil, fmt.Errorf("starting a standby: %w", err)
	}
	p, err := startPostgres(ctx, cfg, link)
	if err != nil {
		return nil, errors.Join(err, link.Close())
	}
	return p, nil
}

// Replication is the network between a standby and its primary, nil for a server that is not one. Its faults make
// the standby lag: with Blackhole it hears nothing of what is committed from then on, and once it is promoted those
// commits are lost. Pausing the standby does less: what its socket has received by then is replayed when it goes on.
func (p *Postgres) Replication() *Proxy {
	return p.drv.primary
}

// Promote makes a standby a primary on a timeline of its own, with all that it has received, and returns when it can be
// written to. Its old primary goes on as well, if it is alive.
func (p *Postgres) Promote(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, promoteTimeout)
	defer cancel()
	if err := p.promote(ctx); err != nil {
		return fmt.Errorf("promoting %s: %w", p.Addr(), err)
	}
	return nil
}

func (p *Postgres) promote(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.URL())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "SELECT pg_promote(wait => false)"); err != nil {
		return err
	}
	for {
		var recovering bool
		if err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&recovering); err != nil {
			return err
		}
		if !recovering {
			return nil
		}
		if err := sleep(ctx, pingInterval); err != nil {
			return fmt.Errorf("%w: %w", errInRecovery, err)
		}
	}
}

// Close ends the server as Server.Close does, and a standby's network to its primary with it.
func (p *Postgres) Close() error {
	err := p.Server.Close()
	if p.drv.primary != nil {
		err = errors.Join(err, p.drv.primary.Close())
	}
	return err
}

// copyPrimary fills a folder with a copy of the primary that follows it when it is started.
func (d *postgresDriver) copyPrimary(ctx context.Context, dir string) error {
	_, port, err := net.SplitHostPort(d.primary.Addr())
	if err != nil {
		return err
	}
	return d.run(ctx, dir, exec.CommandContext(ctx, d.bin.basebackup, "-D", dir, "-h", host, "-p", port, "-U", "postgres", "-w",
		"-R", "-X", "stream", "-c", "fast", "--no-sync"))
}
