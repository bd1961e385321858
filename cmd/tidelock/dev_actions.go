package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/internal/dashboard"
	"github.com/tidelock-cache/tidelock/internal/stack"
)

// valkeyActions are the buttons that do something to the private stack's Valkey.
func valkeyActions(server *stack.Valkey) []dashboard.Action {
	paused := new(atomic.Bool)
	running := func() bool { return server.Running() && !paused.Load() }
	return []dashboard.Action{
		{Name: "kill", Label: "Kill Valkey", Usable: server.Running, Do: func(context.Context) error {
			paused.Store(false)
			return server.Kill()
		}},
		{Name: "start", Label: "Start it, empty", Usable: func() bool { return !server.Running() }, Do: server.Start},
		{Name: "pause", Label: "Pause it", Usable: running, Do: func(context.Context) error {
			paused.Store(true)
			return server.Pause()
		}},
		{Name: "resume", Label: "Resume it", Usable: func() bool { return server.Running() && paused.Load() }, Do: func(context.Context) error {
			paused.Store(false)
			return server.Resume()
		}},
		{Name: "flush", Label: "Flush it", Usable: running, Do: func(ctx context.Context) error { return flush(ctx, server) }},
	}
}

// flush empties the server.
func flush(ctx context.Context, server *stack.Valkey) error {
	option := server.ClientOption()
	option.DisableCache, option.ForceSingleClient, option.DisableRetry = true, true, true
	client, err := valkey.NewClient(option)
	if client != nil {
		defer client.Close()
	}
	if err != nil {
		return fmt.Errorf("connecting to valkey: %w", err)
	}
	return client.Do(ctx, client.B().Flushall().Build()).Error()
}
