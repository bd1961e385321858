// Package ops serves what an operator's tools ask a process for: metrics, and whether it lives and can do its work.
package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// stopTime is for the answers that are under way at the end.
const stopTime = 2 * time.Second

// Handler answers GET /metrics with what there is to gather, /livez without asking anybody, and /readyz after asking all: with 503 if a dependency is down
// that is required, else with 200.
func Handler(gatherer prometheus.Gatherer, probes []Probe) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		readiness := Ask(r.Context(), probes)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(readiness.Status())
		_ = json.NewEncoder(w).Encode(readiness) // a client that has gone
	})
	return mux
}

// Registry has the metrics of these, of the Go runtime and of the process.
func Registry(all ...prometheus.Collector) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(append(all, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))...)
	return registry
}

// Server serves until it is closed.
type Server struct {
	Addr string
	http *http.Server
	done chan struct{}
}

// Listen begins to serve at an address, such as 127.0.0.1:9464.
func Listen(ctx context.Context, addr string, h http.Handler, log *zap.Logger) (*Server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening at %s: %w", addr, err)
	}
	s := &Server{Addr: listener.Addr().String(), done: make(chan struct{}), http: &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: zap.NewStdLog(log)}}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("serving_failed", zap.String("address", addr), zap.Error(err))
		}
	}()
	log.Info("ops_serving", zap.String("address", s.Addr))
	return s, nil
}

// Close ends the answers that are under way, or cuts them off after 2 s.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.done
	return err
}
