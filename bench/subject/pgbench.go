package subject

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidelock-cache/tidelock/bench/turns"
)

// Pgbench is Postgres's own client program: the least that a write costs, with no cache at all.
type Pgbench struct {
	Program string
	Port    int
}

// Installed reports whether there is one.
func (p Pgbench) Installed() bool {
	_, err := os.Stat(p.Program)
	return err == nil
}

// connecting is how many seconds of its time pgbench may spend on its connections. The rate that it tells is without them.
func connecting(clients int) int { return 1 + clients/16 }

const pgbenchScript = `\set id random(0, %d)
\set n random(1, 1000000000)
UPDATE items SET body = rpad(:n::bigint::text, %d, 'x') WHERE id = :id RETURNING body;
`

// Update is the UPDATE that all subjects run, as a prepared statement in autocommit. It takes whole seconds.
func (p Pgbench) Update(ctx context.Context, cell turns.Cell, plan turns.Plan) (turns.Measure, error) {
	dir, err := os.MkdirTemp("", "pgbench")
	if err != nil {
		return turns.Measure{}, err
	}
	defer os.RemoveAll(dir)
	script := filepath.Join(dir, "update.sql")
	if err := os.WriteFile(script, fmt.Appendf(nil, pgbenchScript, cell.Keys-1, cell.Payload), 0o600); err != nil {
		return turns.Measure{}, err
	}
	cmd := exec.CommandContext(ctx, p.Program,
		"-n", "-M", "prepared", "-f", script, "-c", strconv.Itoa(cell.Clients), "-j", strconv.Itoa(min(2, cell.Clients)),
		"-T", strconv.Itoa(connecting(cell.Clients)+max(1, int(math.Round(plan.Turn.Seconds())))), "-l", "--log-prefix", filepath.Join(dir, "log"),
		"-h", "127.0.0.1", "-p", strconv.Itoa(p.Port), "-U", "postgres", "postgres")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return turns.Measure{}, fmt.Errorf("running pgbench: %w: %s", err, out)
	}
	perSecond, err := pgbenchRate(string(out))
	if err != nil || perSecond == 0 {
		return turns.Measure{}, err
	}
	times, err := pgbenchTimes(filepath.Join(dir, "log.*"))
	if err != nil {
		return turns.Measure{}, err
	}
	return turns.Measure{PerSecond: perSecond, P50: quantile(times, 0.5), P99: quantile(times, 0.99)}, nil
}

// pgbenchRate finds "tps = 1234.5 (without initial connection time)". There is none where the machine left it no time for a single transaction.
func pgbenchRate(text string) (float64, error) {
	if strings.Contains(text, "actually processed: 0\n") {
		return 0, nil
	}
	_, rest, found := strings.Cut(text, "tps = ")
	number, _, _ := strings.Cut(rest, " ")
	if !found {
		return 0, fmt.Errorf("pgbench said no rate: %s", text)
	}
	return strconv.ParseFloat(number, 64)
}

// pgbenchTimes reads the third field of each line, the microseconds that a transaction took, and sorts them.
func pgbenchTimes(pattern string) ([]time.Duration, error) {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		for scan := bufio.NewScanner(f); scan.Scan(); {
			if fields := strings.Fields(scan.Text()); len(fields) > 2 {
				us, _ := strconv.ParseInt(fields[2], 10, 64)
				times = append(times, time.Duration(us)*time.Microsecond)
			}
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	if len(times) == 0 {
		return nil, errors.New("pgbench has logged nothing")
	}
	slices.Sort(times)
	return times, nil
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
