package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/chaos"
)

// usualMinutes is what the default run takes for scenarios.
const usualMinutes = 7

type chaosCmd struct {
	Minutes    float64  `help:"How long the scenarios run: each once, then random pairs of them until the time is over. Default 7 for a run of everything, else 0: no pairs." default:"-1"`
	Operations int      `help:"How many operations there are to be, at least: random pairs of scenarios follow, with all the traffic that the machine can take."`
	Seed       uint64   `help:"Seed of everything that is left to chance; 0 takes one from the clock."`
	Subject    string   `help:"What is attacked. The default run attacks Tidelock with everything, and the others with some of it, to show that the judge sees." enum:"default,tidelock,naive,aside,postgres,all" default:"default"`
	Scenario   []string `help:"Run only scenarios whose name fits, such as valkey/*; several may be given." placeholder:"GLOB"`
	Mutants    bool     `help:"Afterwards switch off one rule of the protocol after the other, and show that a scenario catches it. Needs the sources."`
	Recovery   bool     `help:"Measure the speed of recovery too." default:"true" negatable:""`
	List       bool     `help:"List the scenarios."`
	Other      string   `help:"Another build of this program, for all/rolling-upgrade. Default: this one." placeholder:"PROGRAM" type:"existingfile"`
	Keep       bool     `help:"Keep every history, not only those with violations."`
	Dir        string   `help:"Where the report and the histories of failures go." default:"chaos/out" type:"path"`
}

// Validate refuses what cannot be run.
func (c *chaosCmd) Validate() error {
	if c.Minutes > 7*24*60 {
		return errors.New("--minutes must be at most 10080")
	}
	if c.Operations < 0 {
		return errors.New("--operations must be positive")
	}
	return nil
}

// Run attacks and reports.
func (c *chaosCmd) Run(ctx context.Context, s *Settings) error {
	if c.List {
		for _, sc := range chaos.Scenarios() {
			fmt.Println(sc.Name)
		}
		return nil
	}
	log := zap.NewNop()
	if s.LogLevel == "debug" {
		var err error
		if log, err = s.logger(); err != nil {
			return err
		}
	}
	if c.Minutes < 0 && c.Subject == "default" && len(c.Scenario) == 0 {
		c.Minutes = usualMinutes
	}
	report, err := chaos.Run(ctx, chaos.Config{
		Seed: c.Seed, Minutes: c.Minutes, Operations: c.Operations, Scenarios: c.Scenario, Subjects: subjects(c.Subject), Recovery: c.Recovery && len(c.Scenario) == 0,
		Mutants: c.Mutants, Other: c.Other, Keep: c.Keep, Out: os.Stdout, Dir: c.Dir, Log: log,
	})
	if err != nil {
		return err
	}
	if !report.Good() {
		return errVerdict
	}
	return nil
}

func subjects(name string) []string {
	switch name {
	case "default":
		return nil
	case "all":
		return chaos.Subjects()
	}
	return []string{name}
}
