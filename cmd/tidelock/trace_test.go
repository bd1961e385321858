package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// received is a span and the service that it came from.
type received struct {
	service string
	*otlp.Span
}

// receiver is a collector: it takes what a program sends by OTLP over HTTP.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []received
	token string // of the last request
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		var request collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil {
			t.Errorf("what was sent cannot be read: %v", err)
		}
		r.take(&request, q.Header.Get("Token"))
		w.Header().Set("Content-Type", "application/x-protobuf")
	})
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(request *collector.ExportTraceServiceRequest, token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.token = token
	for _, resource := range request.GetResourceSpans() {
		service := ""
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				r.spans = append(r.spans, received{service, span})
			}
		}
	}
}

// find returns the span of a service and a name in a trace.
func (r *receiver) find(trace, service, name string) (*otlp.Span, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if s.service == service && s.GetName() == name && hex.EncodeToString(s.GetTraceId()) == trace {
			return s.Span, true
		}
	}
	return nil, false
}

// running starts a command, and returns the addresses that it says in its log, by what it says of them, once it has said msg.
func running(t *testing.T, env []string, msg string, args ...string) (cmd *exec.Cmd, at map[string]string) {
	t.Helper()
	cmd = command(t.Context(), env, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	at = make(map[string]string)
	said := false
	for !said && lines.Scan() {
		var line struct{ Msg, Address string }
		_ = json.Unmarshal(lines.Bytes(), &line)
		at[line.Msg], said = line.Address, line.Msg == msg
	}
	if !said {
		t.Fatalf("%v never said %s", args, msg)
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }() // ends with the command
	return cmd, at
}

// stopped tells a command to end, and returns how long that took.
func stopped(t *testing.T, cmd *exec.Cmd) time.Duration {
	t.Helper()
	began := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	return time.Since(began)
}

// boats makes a table and the file that declares it, and returns the settings of the commands.
func boats(t *testing.T, valkey string) (env []string, file string) {
	t.Helper()
	db := rig.DB(t)
	if _, err := db.Exec(t.Context(), `CREATE TABLE boats (id int PRIMARY KEY, name text)`); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "entities.yaml")
	if err := os.WriteFile(file, []byte("entities:\n  boats: {table: boats, key: id, cache: '"+strings.ReplaceAll(t.Name(), "/", "-")+":{id}', columns: name}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"TIDELOCK_DATABASE_URL=" + db.Config().ConnString(), "TIDELOCK_VALKEY_URL=" + valkey, "TIDELOCK_NATS_URL=" + stacktest.NATS(t).URL(),
		"TIDELOCK_LOG_FORMAT=json", "OTEL_BSP_SCHEDULE_DELAY=50"}, file
}

// launch puts a boat, in a trace of the client's, and returns how long that took.
func launch(t *testing.T, address, trace string) time.Duration {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+address+"/v1/boats/1", strings.NewReader(`{"name": "Argo"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	request.Close = true
	began := time.Now()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
		t.Fatalf("got %d: %s", answer.StatusCode, text)
	}
	return time.Since(began)
}

// TestTracesReachTheCollector writes over HTTP while Valkey is down, and has a relay bring the row there when it is back. A collector hears of all of it as one trace:
// from the client's span to the relay's, with the statements and the commands.
func TestTracesReachTheCollector(t *testing.T) {
	t.Parallel()
	const trace = "0af7651916cd43dd8448eb211c80319c"
	to, valkey := newReceiver(t), stacktest.OwnValkey(t)
	env, file := boats(t, valkey.URL())
	env = append(env, "TIDELOCK_OTLP_ENDPOINT="+to.URL, "OTEL_EXPORTER_OTLP_HEADERS=token=secret", "TIDELOCK_STREAM=TRACED")
	server, at := running(t, env, "serving", "serve", "--entities", file, "--listen", "127.0.0.1:0")
	if err := valkey.Kill(); err != nil {
		t.Fatal(err)
	}
	launch(t, at["serving"], trace)
	if err := valkey.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	relay, _ := running(t, env, "relay_started", "relay")
	spans := make(map[string]*otlp.Span)
	for _, s := range []struct{ service, name string }{
		{"tidelock-serve", "PUT /v1/boats/"}, {"tidelock-serve", "tidelock.put"}, {"tidelock-serve", "tidelock.commit"}, {"tidelock-serve", "COMMIT"},
		{"tidelock-relay", "tidelock.apply"},
	} {
		stacktest.Eventually(t, patience, func() bool {
			span, there := to.find(trace, s.service, s.name)
			spans[s.service+" "+s.name] = span
			return there
		}, "the collector hears of", s.service, s.name)
	}
	if got := hex.EncodeToString(spans["tidelock-serve PUT /v1/boats/"].GetParentSpanId()); got != "b7ad6b7169203331" {
		t.Errorf("the request's parent is %s, want the client", got)
	}
	put, apply := spans["tidelock-serve tidelock.put"], spans["tidelock-relay tidelock.apply"]
	if string(apply.GetParentSpanId()) != string(put.GetSpanId()) || len(apply.GetLinks()) != 1 {
		t.Errorf("the relay's apply is %v, want it to be a child of the Put, with a link to the chunk", apply)
	}
	chunk := hex.EncodeToString(apply.GetLinks()[0].GetTraceId())
	for _, name := range []string{"send TRACED", "process TRACED", "EVALSHA", "SELECT"} {
		stacktest.Eventually(t, patience, func() bool {
			_, there := to.find(chunk, "tidelock-relay", name)
			return there
		}, "the collector hears of the chunk:", name)
	}
	stopped(t, server)
	stopped(t, relay)
	to.mu.Lock()
	defer to.mu.Unlock()
	if to.token != "secret" {
		t.Errorf("the collector was shown the token %q", to.token)
	}
}

// TestCollectorThatIsDown: neither a write nor the end of the program waits for a collector that cannot be reached, or that never answers.
func TestCollectorThatIsDown(t *testing.T) {
	t.Parallel()
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		<-q.Context().Done()
	}))
	t.Cleanup(hangs.Close)
	for name, endpoint := range map[string]string{"refuses": "http://127.0.0.1:1", "hangs": hangs.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, file := boats(t, stacktest.Valkey(t).URL())
			// Spans are dropped when a few wait, and tried to be sent at once.
			env = append(env, "OTEL_BSP_MAX_QUEUE_SIZE=4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=1")
			cmd, at := running(t, env, "serving", "serve", "--entities", file, "--listen", "127.0.0.1:0", "--otlp-endpoint", endpoint)
			for range 100 {
				if took := launch(t, at["serving"], "0af7651916cd43dd8448eb211c80319c"); took > 2*time.Second {
					t.Errorf("a write took %v", took)
				}
			}
			if took := stopped(t, cmd); took > 10*time.Second {
				t.Errorf("it took %v to end", took)
			}
		})
	}
}
