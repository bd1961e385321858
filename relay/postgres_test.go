package relay_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/migrations"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
)

// TestPostgresDown starts a relay while Postgres is down and kills Postgres under it later, with records in the outbox.
func TestPostgresDown(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnPostgres(t)
	if _, err := migrations.Up(t.Context(), server.URL()); err != nil {
		t.Fatal(err)
	}
	s := siteOn(t, rig.Pool(t, server.URL()), stacktest.Valkey(t).URL(), stacktest.NATS(t).URL())
	s.recordMany(50)
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, gate := rig.Gated(t, s.db, rig.Before, readSQL)
	r, _ := s.run(shortLease, func(cfg *relay.Config) { cfg.DB, cfg.ChunkRecords = db, 5 })
	quiet(t, func() bool { return r.Stats() == relay.Stats{} }, "nothing is done without Postgres")
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, gate.Reached(), "the relay finds Postgres")
	if err := errors.Join(server.Kill(), server.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	gate.Open()
	s.drained()
	s.holdsMany(50)
}

// TestRetireFails cuts the relay off from Postgres when it has applied a chunk and is about to retire it.
func TestRetireFails(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	proxy := rig.Proxy(t, stacktest.Postgres(t).Addr())
	url := strings.Replace(s.db.Config().ConnString(), stacktest.Postgres(t).Addr(), proxy.Addr(), 1)
	db, gate := rig.Gated(t, rig.Pool(t, url), rig.Before, retireSQL)
	s.run(shortLease, func(cfg *relay.Config) { cfg.DB = db })
	s.recordMany(10)
	await(t, gate.Reached(), "the relay retires what it has applied")
	s.holdsMany(10)
	if err := proxy.Cut(); err != nil {
		t.Fatal(err)
	}
	gate.Open()
	quiet(t, func() bool { return len(s.pending()) == 10 }, "the records are kept")
	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}
	s.drained()
	s.holdsMany(10)
}

func TestNoSchema(t *testing.T) {
	t.Parallel()
	cfg := newSite(t).config()
	cfg.DB = rig.Pool(t, stacktest.Database(t))
	r, err := relay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context()); !errors.Is(err, outbox.ErrNoSchema) || !strings.Contains(err.Error(), "tidelock migrate up") {
		t.Errorf("the error is %v", err)
	}
}
