package serve

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/internal/traces"
	"github.com/tidelock-cache/tidelock/serve/entity"
)

// request is what a handler works on.
type request struct {
	*http.Request
	id     string
	client *entity.Client
	route  string // for the log: no key of a row
	entity string // for the metrics: batch for several, empty for none
	body   []byte
	span   trace.Span
}

// response is what it answers.
type response struct {
	status int
	header http.Header
	body   []byte
}

const requestIDHeader = "X-Request-Id"

// ServeHTTP answers one request. A panic becomes a problem.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	q := &request{Request: r, id: requestID(r), route: "none", span: traces.None}
	answer, err := s.answer(w, q)
	if err != nil {
		p := problemOf(err)
		s.logProblem(q, p)
		answer = p.response(q.id)
	}
	answered(q.span, answer.status, err)
	answer.header.Set(requestIDHeader, q.id)
	s.send(w, r, answer)
	if !q.health() {
		s.counts.answered(q, answer.status, began)
	}
	s.log.Debug("request", zap.String("request_id", q.id), zap.String("method", r.Method), zap.String("route", q.route), zap.Int("status", answer.status),
		zap.String("client", q.name()), zap.Duration("took", time.Since(began)))
}

// health reports whether it asks for the server's own.
func (q *request) health() bool { return strings.HasSuffix(q.route, "z") }

func (q *request) name() string {
	if q.client == nil {
		return ""
	}
	return q.client.Name
}

// logProblem tells of what is the server's own fault, or its database's.
func (s *Server) logProblem(q *request, p *problem) {
	fields := []zap.Field{zap.String("request_id", q.id), zap.String("method", q.Method), zap.String("route", q.route), zap.String("problem", p.name), zap.Error(p.cause)}
	switch {
	case p.status == http.StatusInternalServerError:
		s.log.Error("request_failed", fields...)
	case p.status > http.StatusInternalServerError:
		s.log.Warn("request_failed", fields...)
	}
}

// requestID is the client's own, if it is fit for a log, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get(requestIDHeader)
	fit := id != "" && len(id) <= 128
	for _, c := range []byte(id) {
		fit = fit && c > ' ' && c < 0x7f
	}
	if !fit {
		return rand.Text()
	}
	return id
}

// answer does what comes before every handler. What tells of the server's health waits for nothing.
func (s *Server) answer(w http.ResponseWriter, q *request) (answer *response, err error) {
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, internal.from(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	handle, err := s.route(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(q.Context(), s.cfg.timeout())
	defer cancel()
	q.Request = q.WithContext(ctx)
	if q.health() {
		return handle(q)
	}
	s.traceRequest(q)
	if !s.places.TryAcquire(1) {
		return nil, overloaded.because("%d requests are under way", s.cfg.concurrent()).with("Retry-After", "1")
	}
	defer s.places.Release(1)
	if q.client, err = s.clients.admit(q.Request, s.cfg.PublicDocs && (q.route == "/docs" || q.route == "/openapi.json")); err != nil {
		return nil, err
	}
	if err := s.readBody(w, q); err != nil {
		return nil, err
	}
	return handle(q)
}

// readBody reads the body, which must be JSON if there is one.
func (s *Server) readBody(w http.ResponseWriter, q *request) error {
	if q.Method == http.MethodGet || q.Method == http.MethodHead || q.Method == http.MethodDelete {
		return nil
	}
	if media, _, err := mime.ParseMediaType(q.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return mediaType.because("Content-Type is %q", q.Header.Get("Content-Type"))
	}
	var from io.Reader = http.MaxBytesReader(w, q.Body, s.cfg.bodyMax())
	switch encoding := q.Header.Get("Content-Encoding"); strings.ToLower(encoding) {
	case "", "identity":
	case "gzip":
		unzipped, err := gzip.NewReader(from)
		if err != nil {
			return badBody.because("the body is not gzip")
		}
		from = io.LimitReader(unzipped, s.cfg.bodyMax()+1)
	default:
		return mediaType.because("Content-Encoding is %q: want gzip or none", encoding)
	}
	body, err := io.ReadAll(from)
	switch {
	case int64(len(body)) > s.cfg.bodyMax():
		return tooLarge.because("the body has more than %d bytes", s.cfg.bodyMax())
	case err != nil:
		return unread(err)
	}
	q.body = body
	return nil
}

// unread says why a body could not be read: it is too large, it came too slowly, or it is not what it says.
func unread(err error) *problem {
	if p := problemOf(err); p.status != http.StatusInternalServerError {
		return p
	}
	return badBody.because("the body ended early, or is damaged")
}

// gzipLeast is the size from which on compressing is worth it.
const gzipLeast = 1400

// send writes the answer, compressed where the client takes that. A compressed representation is another one, and has another entity-tag.
func (s *Server) send(w http.ResponseWriter, r *http.Request, answer *response) {
	h := w.Header()
	maps.Copy(h, answer.header)
	h.Set("X-Content-Type-Options", "nosniff")
	body := answer.body
	if len(body) > 0 {
		h.Add("Vary", "Accept-Encoding")
	}
	if len(body) >= gzipLeast && acceptsGzip(r.Header.Values("Accept-Encoding")) {
		var zipped bytes.Buffer
		z, _ := gzip.NewWriterLevel(&zipped, gzip.BestSpeed)
		_, _ = z.Write(body)
		_ = z.Close()
		body = zipped.Bytes()
		h.Set("Content-Encoding", "gzip")
		if tag := h.Get("ETag"); tag != "" && r.Method != http.MethodPut && r.Method != http.MethodPatch {
			h.Set("ETag", strings.TrimSuffix(tag, `"`)+gzipSuffix+`"`)
		}
	}
	if answer.status != http.StatusNotModified {
		h.Set("Content-Length", fmt.Sprint(len(body)))
	}
	w.WriteHeader(answer.status)
	if r.Method != http.MethodHead && answer.status != http.StatusNotModified {
		_, _ = w.Write(body)
	}
}

// acceptsGzip reads Accept-Encoding; a weight of zero is a refusal.
func acceptsGzip(values []string) bool {
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		coding, weight, weighted := strings.Cut(strings.ReplaceAll(part, " ", ""), ";")
		if strings.EqualFold(coding, "gzip") {
			return !weighted || strings.Trim(strings.TrimPrefix(weight, "q="), "0.") != ""
		}
	}
	return false
}
