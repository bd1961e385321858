package serve

import (
	"context"
	"net/http"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
)

// pingTimeout bounds each question of /readyz.
const pingTimeout = time.Second

// live says that the process answers. It asks nobody.
func live(*request) (*response, error) {
	return &response{http.StatusOK, http.Header{"Content-Type": {"text/plain"}, "Cache-Control": {"no-store"}}, []byte("alive\n")}, nil
}

// ready says whether requests can be answered. Without Postgres they cannot; without Valkey or NATS they can.
func (s *Server) ready(q *request) (*response, error) {
	ctx, cancel := context.WithTimeout(q.Context(), pingTimeout)
	defer cancel()
	status := struct {
		Status   string `json:"status"`
		Postgres string `json:"postgres"`
		Valkey   string `json:"valkey"`
		NATS     string `json:"nats,omitempty"`
	}{"ready", "up", "up", ""}
	if s.cfg.NATS != nil {
		status.NATS = "up"
		if !s.cfg.NATS.IsConnected() {
			status.Status, status.NATS = "degraded", "down"
		}
	}
	if s.cfg.Cache.Breaker() == cache.Open {
		status.Status, status.Valkey = "degraded", "down"
	}
	code := http.StatusOK
	if err := checkSchema(ctx, s.cfg.DB); err != nil {
		status.Status, status.Postgres, code = "unready", "down", http.StatusServiceUnavailable
	}
	answer, err := jsonResponse(http.Header{"Cache-Control": {"no-store"}}, status)
	if err == nil {
		answer.status = code
	}
	return answer, err
}
