package serve

import (
	"errors"
	"net/http"
	"strings"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/serve/entity"
	"github.com/tidelock-cache/tidelock/writer"
)

// operation is one write of one row.
type operation struct {
	e         *served
	method    string // put, patch or delete
	key       string
	id        []string
	condition condition
	statement entity.Statement
	creates   bool // the statement meets no row if there is one
}

// operationOf makes an operation of a method, a key and a body.
func operationOf(e *served, method string, id []string, body []byte, want condition) (*operation, error) {
	o := &operation{e: e, method: method, id: id, key: e.CacheKey(id), condition: want}
	if method == "delete" {
		o.statement = e.Delete(id)
		return o, nil
	}
	row, err := e.Row(id, body, method == "put")
	if err != nil {
		return nil, err
	}
	switch {
	case method == "patch":
		o.statement = e.Patch(id, row)
	case want.none.any && e.Insert:
		o.statement, o.creates = e.Create(id, row), true
	case want.match.given || want.none.any || !e.Insert:
		o.statement = e.Replace(id, row)
	default:
		o.statement = e.Put(id, row)
	}
	return o, nil
}

// alone reports whether the statement decides by itself, so that it can share a transaction with others.
func (o *operation) alone() bool {
	return !o.condition.byVersion() && (!o.condition.none.any || o.creates)
}

// kind says what becomes of the cache's entry.
func (o *operation) kind() outbox.Kind {
	if o.method == "delete" {
		return outbox.Absent
	}
	return outbox.Set
}

// change declares what the operation has done.
func (o *operation) change(payload []byte) writer.Change {
	c := writer.Absent(o.key)
	if o.method != "delete" {
		c = writer.Set(o.key, payload)
	}
	if o.e.TTL != 0 {
		c = c.Within(o.e.TTL)
	}
	return c
}

// missed is the problem of a statement that has met no row.
func (o *operation) missed() *problem {
	if o.creates || o.condition.match.given {
		return o.condition.failed()
	}
	return notFound.because("there is no such row of %s", o.e.Name)
}

// put is the operation for those who share a transaction.
func (o *operation) put() writer.Put {
	return writer.Put{Key: o.key, SQL: o.statement.SQL, Args: o.statement.Args, Kind: o.kind(), TTL: o.e.TTL}
}

// write answers a PUT, PATCH or DELETE of one row.
func (s *Server) write(q *request, e *served, id []string) (*response, error) {
	if err := q.may(entity.ToWrite, e); err != nil {
		return nil, err
	}
	want, err := conditionOf(q.Header)
	if err != nil {
		return nil, err
	}
	o, err := operationOf(e, strings.ToLower(q.Method), id, q.body, want)
	if err != nil {
		return nil, err
	}
	session, err := sessionOf(q.Header)
	if err != nil {
		return nil, err
	}
	done, err := s.perform(q, []*operation{o})
	if err != nil {
		return nil, err
	}
	it := done.item(0, q.client.May(entity.ToRead, e.Name))
	header := done.header(session)
	if it.ETag != "" {
		header.Set("ETag", it.ETag)
	}
	return jsonResponse(header, it)
}

// perform does what one request asks for, in one transaction.
func (s *Server) perform(q *request, operations []*operation) (*performed, error) {
	key := q.Header.Get(idempotencyHeader)
	if err := checkIdempotencyKey(key); err != nil {
		return nil, err
	}
	switch {
	case key != "":
		return s.performOnce(q, key, operations)
	case len(operations) == 1 && operations[0].alone():
		return s.performShared(q, operations[0])
	default:
		return s.performOwn(q, operations, nil)
	}
}

// performShared does one operation in a transaction that it may share with others, of other keys.
func (s *Server) performShared(q *request, o *operation) (*performed, error) {
	end, err := s.turns.take(q.Context(), o.key)
	if err != nil {
		return nil, err
	}
	defer end()
	result, err := s.writer(o.e).Put(q.Context(), o.put())
	switch {
	case errors.Is(err, writer.ErrOneRow):
		return nil, o.missed()
	case err != nil:
		return nil, err
	}
	return newPerformed([]*operation{o}, [][]byte{result.Payload}, result), nil
}

// performed is what a committed write has come to.
type performed struct {
	operations []*operation
	rows       [][]byte // nil for one that was deleted
	versions   []int64
	caches     []writer.Outcome // empty in a replay
	own        []bool           // whether the version is still this write's own
	replayed   bool
}

func newPerformed(operations []*operation, rows [][]byte, result writer.Result) *performed {
	p := &performed{operations: operations, rows: rows}
	for _, o := range operations {
		for _, k := range result.Keys {
			if k.Key == o.key {
				p.versions, p.caches, p.own = append(p.versions, k.Version), append(p.caches, k.Outcome), append(p.own, true)
			}
		}
	}
	return p
}

// item is the answer to one of the operations. A client that may not read sees no row.
func (p *performed) item(i int, mayRead bool) item {
	it := item{}
	if !p.replayed {
		it.Cache = string(p.caches[i])
	}
	if p.operations[i].method == "delete" {
		return it
	}
	if p.own[i] {
		it.ETag = etag(p.versions[i])
	}
	if mayRead {
		it.Row = p.rows[i]
	}
	return it
}

// header is that of the answer.
func (p *performed) header(session *reader.Session) http.Header {
	h := http.Header{"Cache-Control": {"no-store"}}
	if p.replayed {
		h.Set(replayedHeader, "true")
	}
	carry(h, session, p.token())
	return h
}

// token lets reads see the write.
func (p *performed) token() cache.Token {
	return cache.NewToken(func(yield func(string, int64) bool) {
		for i, o := range p.operations {
			if !yield(o.key, p.versions[i]) {
				return
			}
		}
	})
}
