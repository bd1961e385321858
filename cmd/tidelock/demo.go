package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/term"

	"github.com/tidelock-cache/tidelock/internal/demo"
)

// errVerdict ends the demo with a failure that it has already told.
var errVerdict = errors.New("the demo found a lie")

type demoCmd struct {
	Flights  int           `help:"How many flights, of 5,000." default:"5000"`
	Duration time.Duration `help:"How long the traffic runs." default:"30s"`
	Writers  int           `help:"Writers at once." default:"16"`
	Readers  int           `help:"Readers at once." default:"8"`
	LoseData string        `help:"What Valkey comes back with after it was killed: empty." enum:"empty" default:"empty"`
	Plain    bool          `help:"Print lines, also on a terminal."`
}

// Validate refuses sizes that make no demo.
func (c *demoCmd) Validate() error {
	switch {
	case c.Flights < 100 || c.Flights > 5000:
		return errors.New("--flights must be from 100 to 5000")
	case c.Duration < 5*time.Second || c.Duration > time.Hour:
		return errors.New("--duration must be from 5s to 1h")
	case c.Writers < 1 || c.Writers > 64 || c.Readers < 0 || c.Readers > 64:
		return errors.New("--writers must be from 1 to 64, --readers from 0 to 64")
	}
	return nil
}

// Run plays the demo. Its last line is the report as JSON.
func (c *demoCmd) Run(ctx context.Context, s *Settings) error {
	log := zap.NewNop()
	if s.LogLevel == "debug" {
		var err error
		if log, err = s.logger(); err != nil {
			return err
		}
	}
	table := term.IsTerminal(int(os.Stdout.Fd())) && !c.Plain
	report, err := demo.Run(ctx, demo.Config{Flights: c.Flights, Duration: c.Duration, Writers: c.Writers, Readers: c.Readers, Out: os.Stdout, Table: table, Log: log})
	if err != nil {
		return err
	}
	fmt.Printf("\ncompared %d keys on each board with Postgres; cached: naive %d, tidelock %d\n", report.Keys, report.CachedNaive, report.CachedOurs)
	fmt.Printf("acknowledged writes missing from Postgres: %d\n", report.MissingWrites)
	fmt.Printf("stale keys: naive %d, tidelock %d\n", report.StaleNaive, report.StaleTidelock)
	line, err := json.Marshal(report)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	if !report.Good() {
		return errVerdict
	}
	return nil
}
