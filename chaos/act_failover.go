package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// keptRDB names the snapshot that is put aside.
const keptRDB = "chaos"

// aofLoss is the most that is cut from an append-only file, about half a second of writes.
const aofLoss = 256 << 10

// saveRDB writes a snapshot and puts it aside.
func saveRDB(ctx context.Context, s *Stage) error {
	if err := s.valkey.Save(ctx); err != nil {
		return err
	}
	return s.valkey.KeepRDB(keptRDB)
}

// restoreRDB puts the snapshot back under a Valkey that is down.
func restoreRDB(_ context.Context, s *Stage) error { return s.valkey.RestoreRDB(keptRDB) }

// cutAOF takes the end of the append-only file of a Valkey that is down.
func cutAOF(_ context.Context, s *Stage) error {
	return s.valkey.CutAOF(1 + s.rand.Int64N(aofLoss))
}

// jumpClock moves Valkey's clock so far from the right time, at random between the two.
func jumpClock(least, most time.Duration) Fault {
	return func(_ context.Context, s *Stage) error {
		s.count()
		return s.clock.Jump(between(s.rand, least, most) - s.clock.Offset())
	}
}

// holdReplication lets the replica hear nothing more of its primary.
func holdReplication(_ context.Context, s *Stage) error {
	s.begin("valkey's replica lags")
	return s.replication.Blackhole()
}

// resumeReplication lets it catch up.
func resumeReplication(_ context.Context, s *Stage) error {
	s.end("valkey's replica lags")
	return s.replication.Heal()
}

// promote makes a primary of the replica as it is.
func promote(ctx context.Context, s *Stage) error {
	s.end("valkey's replica lags")
	s.primaryIs(s.replica)
	return s.replica.Promote(ctx)
}

// sendTo gives a group another Valkey.
func sendTo(w which, who group) Fault {
	return func(_ context.Context, s *Stage) error {
		for _, p := range proxies(who(s), valkeyLink) {
			if err := p.Retarget(w(s).Addr(), false); err != nil {
				return err
			}
		}
		return nil
	}
}

// awaitSentinel waits until the sentinel has promoted the replica.
func awaitSentinel(ctx context.Context, s *Stage) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	for {
		if at, err := s.sentinel.Primary(ctx); err == nil && at == s.replica.Addr() {
			s.end("valkey's replica lags")
			s.primaryIs(s.replica)
			return nil
		}
		if err := sleep(ctx, 20*ms); err != nil {
			return fmt.Errorf("waiting for a sentinel's failover: %w", err)
		}
	}
}

// holdStreaming lets the standby hear nothing more of its primary.
func holdStreaming(_ context.Context, s *Stage) error {
	s.begin("postgres's standby lags")
	return s.standby.Replication().Blackhole()
}

// promoteStandby makes a primary of the standby as it is, and sends everybody there.
func promoteStandby(ctx context.Context, s *Stage) error {
	lostAt := history.Now() // everything that was acknowledged before was so by the old primary
	if err := s.standby.Promote(ctx); err != nil {
		return err
	}
	s.end("postgres's standby lags")
	if err := s.databaseIs(s.standby); err != nil {
		return err
	}
	var err error
	if s.loss, err = findLoss(ctx, s.databaseURL, lostAt); err != nil {
		return err
	}
	for _, p := range proxies(everybody(s), postgresLink) {
		if err := p.Retarget(s.standby.Addr(), false); err != nil {
			return err
		}
	}
	return nil
}

// holdTransaction keeps a transaction open that has an xid and a snapshot, until the faults are over.
func holdTransaction(ctx context.Context, s *Stage) error {
	conn, err := pgx.Connect(ctx, s.databaseURL)
	if err != nil {
		return fmt.Errorf("connecting for an old transaction: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT txid_current()"); err != nil {
		return fmt.Errorf("opening an old transaction: %w", err)
	}
	return untilOver(ctx, s)
}

// openValkey connects to one server, which must be up.
func openValkey(at string) (valkey.Client, error) {
	option, err := valkey.ParseURL(at)
	if err != nil {
		return nil, fmt.Errorf("reading the URL of valkey: %w", err)
	}
	option.DisableCache, option.ForceSingleClient, option.DisableRetry = true, true, true
	client, err := valkey.NewClient(option)
	if err != nil {
		return nil, fmt.Errorf("connecting to valkey: %w", err)
	}
	return client, nil
}
