package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/ops"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/migrations"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/serve"
	"github.com/tidelock-cache/tidelock/serve/entity"
	"github.com/tidelock-cache/tidelock/writer"
)

// patience is for what should take a second or two on a machine that is busy with something else.
const patience = 30 * time.Second

// documented is a row of the table in docs/metrics.md.
type documented struct{ name, kind, labels, help string }

func documentedMetrics(t *testing.T) map[string]documented {
	t.Helper()
	file, err := os.Open("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	rows := make(map[string]documented)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		cells := strings.Split(lines.Text(), "|")
		if len(cells) != 6 || !strings.Contains(cells[1], "`tidelock_") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		name := strings.Trim(cells[1], "`")
		rows[name] = documented{name, cells[2], cells[3], cells[4]}
	}
	return rows
}

// described returns the names of all metrics that the collectors may ever tell.
func described(collectors ...prometheus.Collector) []string {
	var names []string
	for _, c := range collectors {
		descs := make(chan *prometheus.Desc)
		go func() {
			defer close(descs)
			c.Describe(descs)
		}()
		for d := range descs {
			_, rest, _ := strings.Cut(d.String(), `fqName: "`)
			name, _, _ := strings.Cut(rest, `"`)
			names = append(names, name)
		}
	}
	return names
}

// TestMetricsAreDocumented serves the metrics of a relay that is the guardian, and of an HTTP server, and holds them against the table.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	db, conn, valkey := rig.DB(t), rig.NATS(t, stacktest.NATS(t).URL()), rig.Cache(t, stacktest.OwnValkey(t).URL())
	r, _ := rig.Relay(t, relay.Config{DB: db, Cache: valkey, NATS: conn, Stream: "METRICS", AuditPause: 10 * time.Millisecond, Log: rig.Log(t)})
	client := use(t, db, valkey, conn)
	relayed, served := append(client, r.Collector()), []prometheus.Collector{requested(t, db, valkey).Collector()}
	addr := operated(t, relayed)
	var families map[string]*dto.MetricFamily
	stacktest.Eventually(t, patience, func() bool {
		families = scrape(t, addr)
		f := families["tidelock_guardian_trust"]
		return f != nil && families["tidelock_audit_consistent_ratio"] != nil && slices.ContainsFunc(f.Metric, func(m *dto.Metric) bool {
			return m.GetLabel()[0].GetValue() == "trusted" && m.GetGauge().GetValue() == 1
		})
	}, "the cache is trusted")
	table := documentedMetrics(t)
	check(t, table, relayed, families)
	check(t, table, served, scrape(t, operated(t, served)), "entity", "allocate")
	told := described(append(relayed, served...)...)
	for name := range table {
		if !slices.Contains(told, name) {
			t.Errorf("docs/metrics.md has %s, which nothing tells", name)
		}
	}
}

// operated serves metrics, and returns where.
func operated(t *testing.T, all []prometheus.Collector) (addr string) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(all...)
	server, err := ops.Listen(t.Context(), "127.0.0.1:0", ops.Handler(registry, nil), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server.Addr
}

// check holds what was told against the table. Labels that are added to those of the table are said in a sentence of the page.
func check(t *testing.T, table map[string]documented, all []prometheus.Collector, families map[string]*dto.MetricFamily, added ...string) {
	t.Helper()
	for _, name := range described(all...) {
		row, there := table[name]
		switch f := families[name]; {
		case !there:
			t.Errorf("%s is not in docs/metrics.md", name)
		case f == nil:
			t.Errorf("%s was not told", name)
		default:
			compare(t, row, f, added)
		}
	}
}

// requested returns a server of one entity that has answered a request.
func requested(t *testing.T, db *pgxpool.Pool, valkey *cache.Cache) *serve.Server {
	t.Helper()
	cfg := db.Config()
	entity.Tune(cfg)
	tuned, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tuned.Close)
	if _, err := tuned.Exec(t.Context(), `CREATE TABLE boats (id int PRIMARY KEY, name text)`); err != nil {
		t.Fatal(err)
	}
	file, err := entity.Parse("boats.yaml", []byte("entities:\n  boats: {table: boats, key: id, cache: 'boat:{id}', columns: name}\n"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := serve.New(t.Context(), serve.Config{DB: tuned, Cache: valkey, File: file, Log: rig.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/boats/1", nil))
	return server
}

// use writes a key and reads it, and returns what counts that.
func use(t *testing.T, db *pgxpool.Pool, valkey *cache.Cache, conn *nats.Conn) []prometheus.Collector {
	t.Helper()
	w := rig.Writer(t, writer.Config{DB: db, Cache: valkey})
	if _, err := w.Put(t.Context(), writer.Put{Key: "metrics", SQL: "SELECT 'value'::text"}); err != nil {
		t.Fatal(err)
	}
	leases, err := lease.NewClient(lease.Config{DB: db, NATS: conn, Log: rig.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leases.Close)
	load := func(context.Context, []string) (map[string][]byte, error) { return nil, nil }
	reads, err := reader.NewRaw(reader.Config{Cache: valkey, DB: db, Load: load, Leases: leases})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reads.Close)
	// The guardian may have invalidated the entry of a server that is new to it, and the load finds no row.
	if _, err := reads.Get(t.Context(), "metrics"); err != nil && !errors.Is(err, reader.ErrNotFound) {
		t.Fatalf("reading what was written: %v", err)
	}
	return []prometheus.Collector{w.Collector(), reads.Collector(), valkey.Collector(), leases.Collector()}
}

// compare holds a family against its row.
func compare(t *testing.T, row documented, f *dto.MetricFamily, added []string) {
	t.Helper()
	if kind := strings.ToLower(f.GetType().String()); kind != row.kind || f.GetHelp() != row.help {
		t.Errorf("%s is a %s, %q; docs/metrics.md says a %s, %q", row.name, kind, f.GetHelp(), row.kind, row.help)
	}
	for _, m := range f.Metric {
		for _, label := range m.Label {
			if slices.Contains(added, label.GetName()) {
				continue
			}
			free := slices.Contains([]string{"shard", "code"}, label.GetName())
			if !strings.Contains(row.labels, "`"+label.GetName()+"`") || !free && !strings.Contains(row.labels, label.GetValue()) {
				t.Errorf("%s has %s=%q; docs/metrics.md says %s", row.name, label.GetName(), label.GetValue(), row.labels)
			}
		}
	}
	problems, err := promlint.NewWithMetricFamilies([]*dto.MetricFamily{f}).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%s: %v %v", row.name, problems, err)
	}
}

func scrape(t *testing.T, addr string) map[string]*dto.MetricFamily {
	t.Helper()
	body := fetch(t, "http://"+addr+"/metrics", http.StatusOK)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func fetch(t *testing.T, url string, status int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		t.Fatalf("%s: %s %v\n%s", url, res.Status, err, body)
	}
	return string(body)
}

// TestHealth takes one server after the other away from a relay.
func TestHealth(t *testing.T) {
	t.Parallel()
	postgres, server := stacktest.OwnPostgres(t), stacktest.OwnValkey(t)
	if _, err := migrations.Up(t.Context(), postgres.URL()); err != nil {
		t.Fatal(err)
	}
	db := rig.Pool(t, postgres.URL())
	conn, valkey := rig.NATS(t, stacktest.NATS(t).URL()), rig.Cache(t, server.URL())
	r, _ := rig.Relay(t, relay.Config{DB: db, Cache: valkey, NATS: conn, Stream: "HEALTH", Log: zap.NewNop()})
	web, err := ops.Listen(t.Context(), "127.0.0.1:0", relayHandler(r, db, valkey, conn), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = web.Close() })
	ready := func(status int, state ops.State, wrong ...string) {
		t.Helper()
		var got ops.Readiness
		if err := json.Unmarshal([]byte(fetch(t, "http://"+web.Addr+"/readyz", status)), &got); err != nil {
			t.Fatal(err)
		}
		for name, check := range got.Checks {
			if ok := !slices.Contains(wrong, name); ok != (check == "ok") {
				t.Errorf("%s: %s, while %v should be wrong", name, check, wrong)
			}
		}
		if got.State != state {
			t.Errorf("%s, want %s: %v", got.State, state, got.Checks)
		}
		fetch(t, "http://"+web.Addr+"/livez", http.StatusOK)
	}
	ready(http.StatusOK, ops.Ready)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	ready(http.StatusOK, ops.Degraded, "valkey")
	if err := postgres.Kill(); err != nil {
		t.Fatal(err)
	}
	ready(http.StatusServiceUnavailable, ops.Unready, "postgres", "valkey")
	if err := server.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	stacktest.Eventually(t, patience, func() bool {
		return strings.Contains(fetch(t, "http://"+web.Addr+"/readyz", http.StatusServiceUnavailable), `"valkey":"ok"`)
	}, "valkey is back")
	if up := scrape(t, web.Addr)["tidelock_up"]; up == nil || len(up.Metric) != 2 {
		t.Errorf("tidelock_up is %v", up)
	}
}
