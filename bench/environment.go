package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/tidelock-cache/tidelock/bench/site"
)

// described are the modules whose versions stand in the results.
var described = []string{"github.com/jackc/pgx/v5", "github.com/valkey-io/valkey-go", "github.com/dtm-labs/rockscache", "github.com/go-redis/cache/v9",
	"github.com/redis/go-redis/v9", "github.com/oagudo/outbox", "github.com/ThreeDotsLabs/watermill", "github.com/ThreeDotsLabs/watermill-sql/v4",
	"github.com/riverqueue/river", "github.com/nats-io/nats-server/v2"}

// describe notes on what, with what and how the figures came about.
func (b *bench) describe(ctx context.Context) error {
	say := func(name string, value any) { b.results.Say("environment."+name, fmt.Sprint(value)) }
	say("cpu", cpuModel())
	say("cpus", runtime.NumCPU())
	say("go", runtime.Version())
	say("os", runtime.GOOS+"/"+runtime.GOARCH)
	say("commit", b.cfg.Commit)
	say("rounds", b.cfg.Rounds)
	say("turn", b.cfg.Turn)
	say("warm", b.cfg.Warm)
	say("pool", b.cfg.Pool)
	say("keys", b.cfg.Keys)
	for _, name := range []string{"server_version", "synchronous_commit", "fsync", "shared_buffers", "max_wal_size", "full_page_writes", "commit_delay"} {
		var value string
		if err := b.site.DB.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return fmt.Errorf("asking postgres for its settings: %w", err)
		}
		say("postgres."+name, value)
	}
	info, err := b.site.Valkey.Do(ctx, b.site.Valkey.B().Info().Section("server").Build()).ToString()
	if err != nil {
		return fmt.Errorf("asking valkey for its version: %w", err)
	}
	for line := range strings.Lines(info) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "valkey_version:"); ok {
			say("valkey.version", version)
		}
	}
	say("valkey.persistence", "none")
	say("postgres.beyond_defaults", site.Settings)
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, module := range build.Deps {
		if slices.Contains(described, module.Path) {
			say("module."+module.Path, module.Version)
		}
	}
	return nil
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
