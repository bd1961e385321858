package serve

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tidelock-cache/tidelock/serve/entity"
)

type handler func(q *request) (*response, error)

// route finds who answers a path. It goes by the path as it was sent: the standard library's mux would clean a key that has a slash or a dot in it.
func (s *Server) route(q *request) (handler, error) {
	path := q.URL.EscapedPath()
	if fixed, ok := map[string]struct {
		method string
		handle handler
	}{
		"/livez": {http.MethodGet, live}, "/readyz": {http.MethodGet, s.ready}, "/openapi.json": {http.MethodGet, s.docs.openapi}, "/docs": {http.MethodGet, s.docs.page},
		"/v1/batch": {http.MethodPost, s.batch},
	}[path]; ok {
		if q.route = path; path == "/v1/batch" {
			q.entity = "batch"
		}
		return only(q, fixed.handle, fixed.method)
	}
	rest, ok := strings.CutPrefix(path, "/v1/")
	if !ok {
		return nil, notFound.because("there is nothing at this path: see /docs")
	}
	name, id, row := strings.Cut(rest, "/")
	name, verb, collective := strings.Cut(name, ":")
	e := s.entities[name]
	if e == nil || row == collective {
		return nil, notFound.because("there is no such entity: see /docs")
	}
	q.entity = name
	if collective {
		q.route = "/v1/" + name + ":" + verb
		switch verb {
		case "batchGet":
			return only(q, func(q *request) (*response, error) { return s.batchGet(q, e) }, http.MethodPost)
		case "invalidate":
			return only(q, func(q *request) (*response, error) { return s.invalidate(q, e) }, http.MethodPost)
		}
		return nil, notFound.because("there is no such operation: see /docs")
	}
	q.route = "/v1/" + name + "/"
	return s.routeRow(q, e, id)
}

// routeRow finds who answers for one row.
func (s *Server) routeRow(q *request, e *served, path string) (handler, error) {
	method := strings.ToLower(q.Method)
	if method == "head" {
		method = "get"
	}
	if !e.Allows(method) {
		return nil, methodBarred.because("%s does not allow %s", e.Name, q.Method).with("Allow", allowed(e))
	}
	return func(q *request) (*response, error) {
		id, err := pathID(e, path)
		if err != nil {
			return nil, err
		}
		if method == "get" {
			return s.get(q, e, id)
		}
		return s.write(q, e, id)
	}, nil
}

func allowed(e *served) string {
	list := strings.ToUpper(strings.Join(e.Methods(), ", "))
	if e.Allows("get") {
		list += ", HEAD"
	}
	return list
}

// only answers one method, and HEAD where that is GET.
func only(q *request, handle handler, method string) (handler, error) {
	allow := []string{method}
	if method == http.MethodGet {
		allow = append(allow, http.MethodHead)
	}
	if !slices.Contains(allow, q.Method) {
		return nil, methodBarred.because("this path allows %s", strings.Join(allow, ", ")).with("Allow", strings.Join(allow, ", "))
	}
	return handle, nil
}

// pathID reads the values of the key: one part of the path for each column.
func pathID(e *served, path string) ([]string, error) {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		value, err := url.PathUnescape(part)
		if err != nil {
			return nil, badID.because("the path has a %% that is followed by no two hexadecimal digits")
		}
		parts[i] = value
	}
	return e.ID(parts)
}

// may returns a problem unless the client has a right.
func (q *request) may(right entity.Right, e *served) error {
	if !q.client.May(right, e.Name) {
		return forbidden.because("the client %q may not %s %s", q.client.Name, right, e.Name)
	}
	return nil
}
