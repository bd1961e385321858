package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidelock-cache/tidelock/chaos/history"
	"github.com/tidelock-cache/tidelock/chaos/judge"
)

// run is one scenario with one subject.
type run struct {
	scenario Scenario
	subject  string
	seed     uint64
	heavy    bool // as much as the machine can take, for longer
}

// perform runs a scenario to its verdict. What goes wrong with the suite itself stands in the result too.
func (c *conductor) perform(ctx context.Context, r run) Result {
	began := time.Now()
	res := Result{Scenario: r.scenario.Name, Subject: r.subject, Seed: r.seed}
	dir := filepath.Join(c.cfg.dir(), "running", fmt.Sprintf("%s-%s-%d", strings.NewReplacer("/", "-").Replace(r.scenario.Name), r.subject, r.seed))
	err := os.RemoveAll(dir) // of a run with the same seed that was cut short
	if err == nil {
		err = c.stage(ctx, r, dir, &res)
	}
	if err != nil {
		res.Error = err.Error()
	}
	res.Seconds = time.Since(began).Seconds()
	if err := c.keep(dir, &res); err != nil {
		res.Error = errors.Join(errors.New(res.Error), err).Error()
	}
	return res
}

// stage opens the scene, lets traffic and faults loose on it, and judges.
func (c *conductor) stage(ctx context.Context, r run, dir string, res *Result) (err error) {
	s, err := openScene(ctx, dir, c.cfg.Other, c.postgres, r, c.cfg.log())
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	defer func() { err = errors.Join(err, s.keepLogs()) }() // before the servers' folders are removed
	if err != nil {
		return err
	}
	c.turns <- struct{}{}
	defer func() { <-c.turns }()
	if err := s.openDrivers(ctx, r); err != nil {
		return err
	}
	if err := sleep(ctx, c.cfg.warmUp()); err != nil {
		return err
	}
	if r.subject == ours {
		s.auditor = s.audit(ctx)
		defer s.auditor.close()
	}
	s.calm = history.Now()
	s.until = time.Now().Add(c.cfg.faults(r))
	if err := s.wreck(ctx, r); err != nil {
		return err
	}
	o, err := s.settle(ctx, r)
	if err != nil {
		return err
	}
	if o.pending > 0 {
		res.violated(pendingRule, int(o.pending), fmt.Sprintf("%d records still wait in the end", o.pending))
	}
	if err := s.hearAuditor(res); err != nil {
		return err
	}
	if err := s.countDeadlocks(ctx, res); err != nil {
		return err
	}
	return s.judge(r, o.result(), res)
}

// wreck does the faults and heals what they leave.
func (s *scene) wreck(ctx context.Context, r run) error {
	stage := &Stage{scene: s, rand: rand.New(rand.NewPCG(r.seed, 1))}
	if err := s.arm(true); err != nil {
		return err
	}
	err := r.scenario.Faults(ctx, stage)
	for _, done := range s.background {
		<-done
	}
	if err == nil {
		err = stage.sleep(ctx, time.Hour) // to the end of the faults
	}
	return errors.Join(err, s.arm(false), s.heal(ctx))
}

func (s *scene) arm(armed bool) error {
	var errs []error
	for _, n := range s.nodes {
		errs = append(errs, n.arm(armed))
	}
	return errors.Join(errs...)
}

// heal ends all faults: every server that counts is up and every connection passes.
func (s *scene) heal(ctx context.Context) error {
	var errs []error
	for _, n := range s.nodes {
		for _, p := range n.links {
			errs = append(errs, p.Heal())
		}
	}
	var g errgroup.Group
	for name, v := range s.servers() {
		if s.replaced(name) {
			continue
		}
		g.Go(func() error {
			if v.Running() {
				return v.Resume()
			}
			return v.Start(ctx)
		})
	}
	return errors.Join(append(errs, g.Wait())...)
}

// replaced reports whether the server's place has been taken by another one.
func (s *scene) replaced(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch name {
	case "valkey":
		return s.primary != s.valkey
	case "postgres":
		return s.promoted
	default:
		return false
	}
}

// pendingRule says that no record waits for ever. The judge knows nothing of records.
const pendingRule = "pending"

// settle stops the traffic and waits until the cache agrees with Postgres.
func (s *scene) settle(ctx context.Context, r run) (*observer, error) {
	s.repaired(true)
	o, err := s.observe(ctx, r.subject, s.keys)
	if err != nil {
		return nil, err
	}
	defer o.close()
	healed := time.Now()
	quiet := make(chan struct{})
	var g errgroup.Group
	g.Go(func() error {
		defer close(quiet)
		return s.stopRole(writing, reading)
	})
	err = o.converge(ctx, healed, quiet)
	if err := errors.Join(err, g.Wait()); err != nil {
		return nil, err
	}
	return o, s.stopRole(relaying)
}

// judge takes the verdict.
func (s *scene) judge(r run, finals []judge.Final, res *Result) error {
	ops, err := history.Load(s.dir)
	if err != nil {
		return err
	}
	events, err := history.LoadEvents(s.dir)
	if err != nil {
		return err
	}
	job := judge.Run{Subject: r.subject, Ops: s.loss.without(ops), Events: events, Finals: finals, Bound: bound, Pruned: r.scenario.Pruned,
		Linear: []history.Level{history.Strict}, Calm: s.calm}
	if r.subject == "postgres" {
		job.Linear = []history.Level{history.Default, history.Token, history.Session, history.Within, history.Strict}
	}
	v := judge.Judge(job)
	fill(res, v)
	s.mu.Lock()
	res.Faults = s.faults
	s.mu.Unlock()
	return errors.Join(s.failed(), s.explain(job, v))
}

// fill puts a verdict into a result.
func fill(res *Result, v judge.Verdict) {
	c := v.Counts
	res.Operations, res.Unknown, res.Failed, res.Deferred, res.Stale = int(c.Operations), int(c.Unknown), int(c.Failed), int(c.Deferred), int(c.Stale)
	if c.Reads > 0 {
		res.Hits = float64(c.Hits) / float64(c.Reads)
	}
	res.Searched, res.Unsearched = int(c.Searched), int(c.Unsearched)
	res.Levels = levels(c.Levels)
	res.P50, res.P99, res.Max = millis(v.Settled.P50), millis(v.Settled.P99), millis(v.Settled.Max)
	for rule, n := range v.ByRule {
		if n > 0 {
			res.violated(string(rule), int(n), "")
		}
	}
	if len(v.Violations) > 0 {
		first := v.Violations[0]
		res.First = orDefault(res.First, fmt.Sprintf("%s %s: %s", first.Rule, first.Key, first.Text))
	}
}

// picturesMax is how many keys are drawn.
const picturesMax = 3

// explain leaves the violations beside the history, in words and in pictures.
func (s *scene) explain(job judge.Run, v judge.Verdict) error {
	if v.OK() {
		return nil
	}
	var text strings.Builder
	var keys []string
	for _, violation := range v.Violations {
		fmt.Fprintf(&text, "%s %s: %s\n", violation.Rule, violation.Key, violation.Text)
		for _, op := range violation.Ops {
			fmt.Fprintf(&text, "    %+v\n", op)
		}
		if !slices.Contains(keys, violation.Key) {
			keys = append(keys, violation.Key)
		}
	}
	if job.Subject == ours {
		for _, key := range keys[:min(len(keys), picturesMax)] {
			err := judge.Picture(job, key, filepath.Join(s.dir, strings.ReplaceAll(key, ":", "-")+".html"))
			if err != nil && !errors.Is(err, judge.ErrNothingToDraw) {
				return err
			}
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, "violations.txt"), []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("writing the violations: %w", err)
	}
	return nil
}

// logLines is how much of each server's log is kept.
const logLines = 2000

// keepLogs puts the ends of the servers' logs beside the history.
func (s *scene) keepLogs() error {
	var errs []error
	all := s.servers()
	all["postgres"] = s.postgres
	for name, v := range all {
		errs = append(errs, os.WriteFile(s.logPath(name), []byte(v.LogTail(logLines)+"\n"), 0o644))
	}
	return errors.Join(errs...)
}

// keep moves the history of a run that failed to where it stays, and removes that of any other.
func (c *conductor) keep(dir string, res *Result) error {
	bad := res.Violations() > 0 && !slices.Contains(liars, res.Subject)
	if !bad && res.Error == "" && !c.cfg.Keep {
		return os.RemoveAll(dir)
	}
	folder := "failed"
	if !bad && res.Error == "" {
		folder = "kept"
	}
	to := filepath.Join(c.cfg.dir(), folder, filepath.Base(dir))
	err := errors.Join(os.RemoveAll(to), os.MkdirAll(filepath.Dir(to), 0o755))
	if err == nil {
		err = os.Rename(dir, to)
	}
	if err != nil {
		return fmt.Errorf("keeping a history: %w", err)
	}
	res.Kept = to
	return nil
}
