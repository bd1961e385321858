package serve

import "net/http"

type documents struct{ spec, html []byte }

func (d *documents) make(*Server) error { return nil }

func (d *documents) openapi(*request) (*response, error) {
	return &response{http.StatusOK, http.Header{"Content-Type": {"application/json"}}, d.spec}, nil
}

func (d *documents) page(*request) (*response, error) {
	return &response{http.StatusOK, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, d.html}, nil
}
