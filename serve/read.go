package serve

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/serve/entity"
)

// get answers with one row.
func (s *Server) get(q *request, e *served, id []string) (*response, error) {
	if err := q.may(entity.ToRead, e); err != nil {
		return nil, err
	}
	want, err := conditionOf(q.Header)
	if err != nil {
		return nil, err
	}
	asked, err := consistencyOf(q.Header)
	if err != nil {
		return nil, err
	}
	p, err := e.reader.Get(q.Context(), e.CacheKey(id), asked.options...)
	missing := errors.Is(err, reader.ErrNotFound)
	if err != nil && !missing {
		return nil, err
	}
	header := http.Header{"Cache-Status": {s.cacheStatus(p.Hit)}, "Cache-Control": {"private, no-cache"}}
	carry(header, asked.session, cache.Token{})
	if missing {
		failure := notFound.because("there is no such row of %s", e.Name)
		if want.match.given {
			failure = want.failed()
		}
		failure.header = header
		return nil, failure
	}
	header.Set("ETag", etag(p.Version))
	switch {
	case want.holds(p.Version):
		header.Set("Content-Type", "application/json")
		return &response{http.StatusOK, header, p.Bytes}, nil
	case want.match.given && !(condition{match: want.match}).holds(p.Version):
		failure := want.failed()
		failure.header = header
		return nil, failure
	default:
		return &response{status: http.StatusNotModified, header: header}, nil
	}
}

// cacheStatus is RFC 9211's word for where the answer came from.
func (s *Server) cacheStatus(hit bool) string {
	switch {
	case hit:
		return "tidelock; hit"
	case s.cfg.Cache.Breaker() == cache.Open:
		return "tidelock; fwd=bypass; detail=unavailable"
	default:
		return "tidelock; fwd=miss"
	}
}

// item is one row of an answer that has several.
type item struct {
	ID    json.RawMessage `json:"id,omitempty"`
	Found *bool           `json:"found,omitempty"`
	Cache string          `json:"cache,omitempty"`
	ETag  string          `json:"etag,omitempty"`
	Row   json.RawMessage `json:"row,omitempty"`
}

// batchGet answers with several rows of one entity, in the order in which they were asked for.
func (s *Server) batchGet(q *request, e *served) (*response, error) {
	if err := q.may(entity.ToRead, e); err != nil {
		return nil, err
	}
	asked, err := consistencyOf(q.Header)
	if err != nil {
		return nil, err
	}
	ids, keys, err := s.ids(q, e)
	if err != nil {
		return nil, err
	}
	found, err := e.reader.GetMany(q.Context(), keys, asked.options...)
	if err != nil {
		return nil, err
	}
	items, hits := make([]item, len(ids)), 0
	for i, key := range keys {
		p, there := found[key]
		items[i] = item{ID: ids[i], Found: &there}
		if there {
			items[i].ETag, items[i].Row = etag(p.Version), p.Bytes
		}
		if p.Hit {
			hits++
		}
	}
	header := http.Header{"Cache-Status": {s.cacheStatus(hits == len(keys))}, "Cache-Control": {"no-store"}}
	carry(header, asked.session, cache.Token{})
	return jsonResponse(header, struct {
		Items []item `json:"items"`
	}{items})
}

// ids reads the body {"ids": […]}.
func (s *Server) ids(q *request, e *served) (ids []json.RawMessage, keys []string, err error) {
	var body struct {
		IDs []json.RawMessage `json:"ids"`
	}
	if err := strictJSON(q.body, &body); err != nil {
		return nil, nil, err
	}
	if len(body.IDs) > s.cfg.batchMax() {
		return nil, nil, tooLarge.because("%d ids, and the server takes %d", len(body.IDs), s.cfg.batchMax())
	}
	for i, raw := range body.IDs {
		id, err := bodyID(e, raw)
		if err != nil {
			return nil, nil, at(i, err)
		}
		keys = append(keys, e.CacheKey(id))
	}
	if len(keys) == 0 {
		return nil, nil, badBody.because("\"ids\" names no row")
	}
	return body.IDs, keys, nil
}
