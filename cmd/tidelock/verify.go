package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/verify"
)

type verifyCmd struct {
	Entities entitiesFile  `help:"Compare by value too: each entry of the entities that this file declares with its row. See docs/http.md." placeholder:"FILE" type:"existingfile" xor:"how"`
	Since    string        `help:"Compare only keys changed since: a time (RFC 3339) or how long ago (90m, 26h)." placeholder:"TIME" xor:"how"`
	Sample   float64       `help:"Compare only this share of the keys, chosen by chance: 0.01 for one in a hundred." default:"1" placeholder:"SHARE"`
	Rate     int           `help:"Compare at most this many keys a second." default:"5000"`
	For      time.Duration `help:"Watch writes for at least this long; a write counts within a window only if the window was watched to its end." default:"15s"`
	Fix      bool          `help:"Invalidate the entries that differ."`
	JSON     bool          `name:"json" help:"Print JSON."`
}

// Run compares and prints what it has found. It fails if entries differ that it has not fixed, or if rows could not be read.
func (c *verifyCmd) Run(ctx context.Context, s *Settings) error {
	log, err := s.logger()
	if err != nil {
		return err
	}
	file, tune, err := c.Entities.read()
	if err != nil {
		return err
	}
	db, err := s.database(ctx, 3, tune...)
	if err != nil {
		return err
	}
	defer db.Close()
	cfg := verify.Config{DB: db, Keys: outbox.Sample{Share: c.Sample, Seed: rand.Int64()}, Rate: c.Rate, For: c.For, Fix: c.Fix, Log: log}
	if file != nil {
		if cfg.Rows, err = (&declared{file: file, db: db}).rows(ctx); err != nil {
			return err
		}
	}
	valkey, err := s.cache(ctx, relayTimeout, log)
	if err != nil {
		return err
	}
	defer valkey.Close()
	cfg.Cache = valkey
	if c.Since != "" {
		if cfg.Keys.Since, err = since(ctx, db, c.Since); err != nil {
			return err
		}
	}
	progress := newProgress()
	progress.live = progress.live && !c.JSON
	cfg.Progress = progress.at
	report, err := verify.Run(ctx, cfg)
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		err = out.Encode(report)
	} else {
		progress.clear()
		err = printReport(os.Stdout, report, c.Fix)
	}
	if err == nil && (report.Differing > 0 && !c.Fix || len(report.Unread) > 0) {
		return errVerdict
	}
	return err
}

func printReport(out io.Writer, r verify.Report, fixed bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "keys\t%d compared in %v, %d of them in the cache\n", r.Keys, r.Took.Round(time.Millisecond), r.Held)
	if r.Values > 0 {
		fmt.Fprintf(w, "values\t%d compared with their rows\n", r.Values)
	}
	for _, prefix := range slices.Sorted(maps.Keys(r.Unread)) {
		fmt.Fprintf(w, "unread\t%s…: %s\n", prefix, r.Unread[prefix])
	}
	fmt.Fprintf(w, "late\t%d, with a record that waits\n", r.Waiting)
	fmt.Fprintf(w, "different\t%d, with nothing to mend it\n", r.Differing)
	fmt.Fprintln(w, "\nCONSISTENT WITHIN\tKEYS\t\tWRITES\t")
	for i := range r.ByKey {
		fmt.Fprintf(w, "%v\t%s\tof %d\t%s\tof %d\n", r.ByKey[i].Within, nines(r.ByKey[i]), r.ByKey[i].Judged, nines(r.ByWrite[i]), r.ByWrite[i].Judged)
	}
	if len(r.Differences) > 0 {
		fmt.Fprintln(w, "\nKEY\tHOW\tPOSTGRES\tCACHE\tFIXED")
	}
	for _, d := range r.Differences {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%t\n", preview(d.Key), d.Kind, d.Postgres, d.Cache, d.Fixed)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	verdict := "consistent"
	switch {
	case r.Differing > 0 && fixed:
		verdict = "was NOT CONSISTENT, and what differed is invalidated: find out who wrote to the cache or lost its data, or changed rows without Tidelock"
	case r.Differing > 0:
		verdict = "NOT CONSISTENT"
	case len(r.Unread) > 0:
		verdict = "consistent as far as it was compared: SOME ROWS COULD NOT BE READ"
	}
	_, err := fmt.Fprintf(out, "\n%s\n", verdict)
	return err
}

// nines says a share as people say it: 99.98 % are 3.7 nines.
func nines(s verify.Share) string {
	switch {
	case s.Judged == 0:
		return "-"
	case s.Late == 0:
		return "100 %"
	default:
		n := math.Log10(float64(s.Judged) / float64(s.Late))
		return fmt.Sprintf("%.*f %% (%.1f nines)", max(2, int(n)), 100*s.Consistent(), n)
	}
}
