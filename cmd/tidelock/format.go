package main

import (
	"context"
	"fmt"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
)

type formatCmd struct {
	Format int `arg:"" optional:"" help:"The format to write from now on. Every writer, reader and relay must be of a build that knows it."`
}

// Run shows the format in which entries are written, or changes it.
func (c *formatCmd) Run(ctx context.Context, s *Settings) error {
	if c.Format < 0 || c.Format > cache.FormatMax {
		return &cache.FormatError{Format: c.Format}
	}
	return onDatabase(ctx, s, func(ctx context.Context, db outbox.DB) error {
		if c.Format > 0 {
			if err := outbox.SetFormat(ctx, db, c.Format); err != nil {
				return err
			}
		}
		format, err := outbox.Format(ctx, db)
		if err == nil {
			fmt.Printf("entries are written in format %d; this build knows 1 to %d\n", format, cache.FormatMax)
		}
		return err
	})
}
