package drive

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/relay"
)

// runRelay relays until the process is told to stop, and leaves its counters in the run's folder.
func runRelay(cfg RelayConfig, log *zap.Logger) error {
	p := newProcess(cfg.Points, cfg.Armed, log)
	defer p.close()
	db, err := openDatabase(cfg.DatabaseURL, orDefault(cfg.Consumers, 2)+7, p.points)
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := openNATS(cfg.NATSURL, cfg.Name, log)
	if err != nil {
		return err
	}
	defer conn.Close()
	c, err := openCache(p, cache.Config{URL: cfg.ValkeyURL, Timeout: orDefault(cfg.CacheTimeout, relayTimeout), PayloadMax: cfg.PayloadMax, PlaceholderTTL: cfg.PlaceholderTTL, Log: log})
	if err != nil {
		return nil // told to stop before Valkey let us in
	}
	defer c.Close()
	r, err := relay.New(relay.Config{DB: db, Cache: c, NATS: conn, Stream: cfg.Stream, Poll: cfg.Poll, Lease: cfg.Lease, Batch: cfg.Batch, ChunkRecords: cfg.ChunkRecords,
		StreamChunks: cfg.StreamChunks, Consumers: cfg.Consumers, KeepVersions: cfg.KeepVersions, PruneEvery: cfg.PruneEvery, PartBytes: cfg.PartBytes, Watch: cfg.Watch, GuardLease: cfg.GuardLease, Log: log})
	if err != nil {
		return err
	}
	log.Info("relay_started")
	err = r.Run(p)
	log.Info("relay_stopped", zap.Error(err))
	return errors.Join(err, leaveStats(cfg, r.Stats()))
}

// leaveStats writes the file whole or not at all.
func leaveStats(cfg RelayConfig, stats relay.Stats) error {
	encoded, err := json.Marshal(stats)
	if err != nil {
		return fmt.Errorf("encoding the counters: %w", err)
	}
	name := filepath.Join(cfg.Dir, cfg.Name+".stats.json")
	if err := os.WriteFile(name+".new", encoded, 0o644); err != nil {
		return fmt.Errorf("writing the counters: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("writing the counters: %w", err)
	}
	return nil
}
