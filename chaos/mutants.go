package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// mutantTries is how often the scenarios of a mutant are played, each time with another seed.
	mutantTries = 5
	// mutantsAtOnce are played side by side.
	mutantsAtOnce = 2
	// mutantTime bounds one play.
	mutantTime = 90 * time.Second
	// mutantVariable names the rule that is switched off, to a build with the tag mutants.
	mutantVariable = "TIDELOCK_MUTANT"
)

type mutant struct {
	rule      string
	scenarios []string
	reason    string
}

// huntMutants switches off one rule after the other and looks for a scenario that notices. It builds the program, so it needs the sources.
func (c *conductor) huntMutants(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "tidelock-mutants-")
	if err != nil {
		return fmt.Errorf("making a folder for the mutants: %w", err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "tidelock")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-tags", "mutants", "-o", program, "github.com/tidelock-cache/tidelock/cmd/tidelock")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the mutants: %w: %s", err, bytes.TrimSpace(text))
	}
	c.table.printf("\n%-28s %-46s %5s  %s\n", "rule switched off", "caught by", "tries", "violations")
	each := make([]Mutant, len(mutants))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(mutantsAtOnce)
	for i, m := range mutants {
		g.Go(func() (err error) {
			if each[i], err = c.hunt(ctx, program, filepath.Join(dir, m.rule), m); err == nil {
				c.table.mutant(each[i])
			}
			return err
		})
	}
	err = g.Wait()
	c.report.Mutants = countMutants(each)
	return err
}

func countMutants(each []Mutant) Mutants {
	m := Mutants{Each: each}
	for _, one := range each {
		if one.Reason == "" {
			m.Total++
		}
		if one.By != "" {
			m.Killed++
		}
	}
	return m
}

// hunt plays a mutant's scenarios in turn until one of them notices.
func (c *conductor) hunt(ctx context.Context, program, dir string, of mutant) (Mutant, error) {
	m := Mutant{Rule: of.rule, Reason: of.reason}
	for try := range mutantTries {
		for _, scenario := range of.scenarios {
			m.Tries++
			res, err := c.play(ctx, program, dir, of.rule, scenario, seedOf(c.cfg.Seed, of.rule, fmt.Sprint(try)))
			if err != nil {
				return m, fmt.Errorf("playing %s without %s: %w", scenario, of.rule, err)
			}
			if res.Violations() > 0 {
				m.By, m.Rules = scenario, strings.TrimPrefix(res.verdict(), "VIOLATED ")
				return m, nil
			}
		}
	}
	return m, nil
}

// play runs one scenario without one rule.
func (c *conductor) play(ctx context.Context, program, dir, rule, scenario string, seed uint64) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, mutantTime)
	defer cancel()
	if err := os.RemoveAll(dir); err != nil { // of the last try
		return Result{}, err
	}
	cmd := exec.CommandContext(ctx, program, "chaos", "--scenario", scenario, "--subject", ours, "--seed", fmt.Sprint(seed), "--dir", dir)
	cmd.Env = append(os.Environ(), mutantVariable+"="+rule)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it has servers to stop
	cmd.WaitDelay = stopTimeout
	text, err := cmd.CombinedOutput()
	// The exit code tells of a violation as of an error; the report tells which.
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return Result{}, err
	}
	encoded, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		return Result{}, fmt.Errorf("%w: %s", err, bytes.TrimSpace(text))
	}
	var r Report
	if err := json.Unmarshal(encoded, &r); err != nil {
		return Result{}, fmt.Errorf("reading its report: %w", err)
	}
	i := slices.IndexFunc(r.Results, func(r Result) bool { return r.Violations() > 0 })
	if i < 0 {
		return Result{}, nil
	}
	return r.Results[i], nil
}

func (t *table) mutant(m Mutant) {
	switch {
	case m.Reason != "":
		t.printf("%-28s %-46s %5s  %s\n", m.Rule, "-", "-", m.Reason)
	case m.By == "":
		t.printf("%-28s %-46s %5d  %s\n", m.Rule, "NOT CAUGHT", m.Tries, "")
	default:
		t.printf("%-28s %-46s %5d  %s\n", m.Rule, m.By, m.Tries, m.Rules)
	}
}
