package serve

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/tidelock-cache/tidelock/serve/entity"
	"github.com/tidelock-cache/tidelock/writer"
)

// batchOperation is one operation in the body of a batch.
type batchOperation struct {
	Method      string          `json:"method"`
	Entity      string          `json:"entity"`
	ID          json.RawMessage `json:"id"`
	IfMatch     string          `json:"if_match"`
	IfNoneMatch string          `json:"if_none_match"`
	Row         json.RawMessage `json:"row"`
}

// batch writes rows of several entities in one transaction: all of them, or none.
func (s *Server) batch(q *request) (*response, error) {
	var body struct {
		Operations []batchOperation `json:"operations"`
	}
	if err := strictJSON(q.body, &body); err != nil {
		return nil, err
	}
	switch {
	case len(body.Operations) == 0:
		return nil, badBody.because("\"operations\" is empty")
	case len(body.Operations) > s.cfg.batchMax():
		return nil, tooLarge.because("%d operations, and the server takes %d", len(body.Operations), s.cfg.batchMax())
	}
	session, err := sessionOf(q.Header)
	if err != nil {
		return nil, err
	}
	operations := make([]*operation, len(body.Operations))
	seen := make(map[string]bool)
	for i, b := range body.Operations {
		o, err := s.batched(q, b)
		if err == nil && seen[o.key] {
			err = badBody.because("a row is named twice: its last state alone can be written")
		}
		if err != nil {
			return nil, at(i, err)
		}
		operations[i], seen[o.key] = o, true
	}
	done, err := s.perform(q, operations)
	if err != nil {
		return nil, err
	}
	items := make([]item, len(operations))
	for i, o := range operations {
		items[i] = done.item(i, q.client.May(entity.ToRead, o.e.Name))
	}
	return jsonResponse(done.header(session), struct {
		Items []item `json:"items"`
	}{items})
}

// batched makes an operation of one in a body.
func (s *Server) batched(q *request, b batchOperation) (*operation, error) {
	e := s.entities[b.Entity]
	if e == nil {
		return nil, notFound.because("there is no such entity")
	}
	if err := q.may(entity.ToWrite, e); err != nil {
		return nil, err
	}
	method := strings.ToLower(b.Method)
	if !slices.Contains([]string{"put", "patch", "delete"}, method) || !e.Allows(method) {
		return nil, methodBarred.because("%s does not allow %q in a batch", e.Name, b.Method)
	}
	if method == "delete" && b.Row != nil {
		return nil, badBody.because("a delete has no \"row\"")
	}
	id, err := bodyID(e, b.ID)
	if err != nil {
		return nil, err
	}
	header := make(http.Header)
	header.Set("If-Match", b.IfMatch)
	header.Set("If-None-Match", b.IfNoneMatch)
	want, err := conditionOf(header)
	if err != nil {
		return nil, err
	}
	return operationOf(e, method, id, b.Row, want)
}

// at says which operation of a body is wrong.
func at(i int, err error) *problem {
	p := *problemOf(err)
	p.operation = i
	return &p
}

// invalidate has rows loaded anew that were changed by others than the API.
func (s *Server) invalidate(q *request, e *served) (*response, error) {
	if err := q.may(entity.ToAdmin, e); err != nil {
		return nil, err
	}
	session, err := sessionOf(q.Header)
	if err != nil {
		return nil, err
	}
	_, keys, err := s.ids(q, e)
	if err != nil {
		return nil, err
	}
	changes := make([]writer.Change, len(keys))
	for i, key := range keys {
		changes[i] = writer.Invalidate(key)
	}
	result, err := s.writer(e).Write(q.Context(), func(context.Context, *writer.Tx) error { return nil }, changes...)
	if err != nil {
		return nil, err
	}
	cache := "settled"
	if result.Deferred() {
		cache = string(writer.Deferred)
	}
	header := http.Header{"Cache-Control": {"no-store"}}
	carry(header, session, result.Token())
	return jsonResponse(header, item{Cache: cache})
}
