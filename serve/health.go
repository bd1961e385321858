package serve

import (
	"net/http"

	"github.com/tidelock-cache/tidelock/internal/ops"
)

// live says that the process answers. It asks nobody.
func live(*request) (*response, error) {
	return &response{http.StatusOK, http.Header{"Content-Type": {"text/plain"}, "Cache-Control": {"no-store"}}, []byte("alive\n")}, nil
}

// ready says whether requests can be answered. Without Postgres they cannot; without Valkey or NATS they can. Anybody may ask, so it does not say why.
func (s *Server) ready(q *request) (*response, error) {
	is := ops.Ask(q.Context(), ops.Probes(s.cfg.DB, s.cfg.Cache, s.cfg.NATS))
	answer, err := jsonResponse(http.Header{"Cache-Control": {"no-store"}}, is.Brief())
	if err == nil {
		answer.status = is.Status()
	}
	return answer, err
}
