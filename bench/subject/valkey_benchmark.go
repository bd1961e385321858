package subject

import (
	"context"
	"encoding/csv"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/bench/turns"
)

// ValkeyBenchmark is Valkey's own client program: one connection for each client, nothing pipelined.
type ValkeyBenchmark struct {
	Port   int
	Client valkey.Client
}

const valkeyBenchmark = "valkey-benchmark"

// Installed reports whether there is one.
func (ValkeyBenchmark) Installed() bool {
	_, err := exec.LookPath(valkeyBenchmark)
	return err == nil
}

// Set is a SET of a random key.
func (v ValkeyBenchmark) Set(ctx context.Context, cell turns.Cell, plan turns.Plan) (turns.Measure, error) {
	return v.take(ctx, "set", cell, plan)
}

// Get is a GET of a random key. All of them are there.
func (v ValkeyBenchmark) Get(ctx context.Context, cell turns.Cell, plan turns.Plan) (turns.Measure, error) {
	if err := v.fill(ctx, cell); err != nil {
		return turns.Measure{}, err
	}
	return v.take(ctx, "get", cell, plan)
}

// fill sets the keys that the program asks for.
func (v ValkeyBenchmark) fill(ctx context.Context, cell turns.Cell) error {
	const step = 256
	body := strings.Repeat("x", cell.Payload)
	for from := 0; from < cell.Keys; from += step {
		var some []valkey.Completed
		for i := from; i < min(from+step, cell.Keys); i++ {
			some = append(some, v.Client.B().Set().Key(fmt.Sprintf("key:%012d", i)).Value(body).Ex(ttl).Build())
		}
		for _, reply := range v.Client.DoMulti(ctx, some...) {
			if err := reply.Error(); err != nil {
				return err
			}
		}
	}
	return nil
}

// take runs it twice, for it is told how many requests to make and not for how long: first to learn how many fill a turn.
func (v ValkeyBenchmark) take(ctx context.Context, test string, cell turns.Cell, plan turns.Plan) (turns.Measure, error) {
	first, err := v.run(ctx, test, cell, 2000+100*cell.Clients)
	if err != nil {
		return turns.Measure{}, err
	}
	return v.run(ctx, test, cell, max(cell.Clients, int(first.PerSecond*plan.Turn.Seconds())))
}

func (v ValkeyBenchmark) run(ctx context.Context, test string, cell turns.Cell, requests int) (turns.Measure, error) {
	cmd := exec.CommandContext(ctx, valkeyBenchmark, "-p", strconv.Itoa(v.Port), "-t", test,
		"-n", strconv.Itoa(requests), "-c", strconv.Itoa(cell.Clients),
		"-d", strconv.Itoa(cell.Payload), "-r", strconv.Itoa(cell.Keys), "--csv")
	out, err := cmd.Output()
	if err != nil {
		return turns.Measure{}, fmt.Errorf("running %s: %w", valkeyBenchmark, err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil || len(rows) != 2 {
		return turns.Measure{}, fmt.Errorf("%s said %q: %w", valkeyBenchmark, out, err)
	}
	figure := func(name string) float64 {
		for i, title := range rows[0] {
			if title == name {
				x, _ := strconv.ParseFloat(rows[1][i], 64)
				return x
			}
		}
		return 0
	}
	millis := func(name string) time.Duration { return time.Duration(figure(name) * float64(time.Millisecond)) }
	return turns.Measure{PerSecond: figure("rps"), P50: millis("p50_latency_ms"), P99: millis("p99_latency_ms")}, nil
}
