package serve

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"strings"
)

//go:embed docs.html
var docsHTML string

var docsTemplate = template.Must(template.New("docs").Funcs(template.FuncMap{"upper": strings.ToUpper, "path": func(e *served) string { return "/v1/" + e.Name + "/" + pathOf(e) }}).Parse(docsHTML))

// documents are made once, when the server starts.
type documents struct{ spec, html []byte }

func (d *documents) make(s *Server) (err error) {
	if d.spec, err = s.openapiOf(); err != nil {
		return err
	}
	page := struct {
		Entities []*served
		Problems []docsProblem
		Open     bool
		BatchMax int
	}{Open: s.clients.anyone != nil, BatchMax: s.cfg.batchMax()}
	for _, name := range s.order {
		page.Entities = append(page.Entities, s.entities[name])
	}
	for _, k := range kinds {
		page.Problems = append(page.Problems, docsProblem{k.name, k.status, k.title, k.about})
	}
	var html bytes.Buffer
	if err := docsTemplate.Execute(&html, page); err != nil {
		return err
	}
	d.html = html.Bytes()
	return nil
}

type docsProblem struct {
	Name         string
	Status       int
	Title, About string
}

func (d *documents) openapi(*request) (*response, error) {
	return &response{http.StatusOK, http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-cache"}}, d.spec}, nil
}

func (d *documents) page(*request) (*response, error) {
	return &response{http.StatusOK, http.Header{"Content-Type": {"text/html; charset=utf-8"}, "Cache-Control": {"no-cache"},
		"Content-Security-Policy": {"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}}, d.html}, nil
}
