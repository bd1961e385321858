package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/serve/entity"
	"github.com/tidelock-cache/tidelock/writer"
)

// kind is a kind of problem, as clients tell them apart.
type kind struct {
	name   string // ends the type's URI
	status int
	title  string
	about  string // what to do
}

// The kinds of problems.
var (
	notFound       = kind{"not-found", 404, "Not found", "There is no such row, entity or path."}
	badID          = kind{"bad-id", 400, "Not an identifier", "The path, or an id in the body, is not how Postgres would write the key."}
	badHeader      = kind{"bad-header", 400, "A header cannot be understood", "The detail names it."}
	badBody        = kind{"bad-body", 400, "The body cannot be understood", "It is not JSON, or not of the form that this path wants."}
	invalid        = kind{"invalid", 422, "The row is not valid", "\"errors\" names each field and what is wrong with it, as far as that can be told; nothing was written."}
	conflict       = kind{"conflict", 409, "The row is in conflict with others", "A constraint of the database forbids it; nothing was written."}
	precondition   = kind{"precondition-failed", 412, "The row is not what it was expected to be", "Read it again, and decide anew."}
	methodBarred   = kind{"method-not-allowed", 405, "The entity does not allow the method", "The header Allow lists those that it does."}
	mediaType      = kind{"unsupported-media-type", 415, "The body must be application/json", "Set Content-Type; Content-Encoding may be gzip."}
	tooLarge       = kind{"too-large", 413, "The request is too large", "Send less at once."}
	unauthorized   = kind{"unauthorized", 401, "Who are you?", "Send Authorization: Bearer and a token, or use a client certificate."}
	forbidden      = kind{"forbidden", 403, "The client lacks the right", "Its scopes in the entities file decide."}
	tooMany        = kind{"too-many-requests", 429, "Too many requests", "Wait as long as Retry-After says."}
	overloaded     = kind{"overloaded", 503, "The server has too much to do", "Try again."}
	unavailable    = kind{"unavailable", 503, "The database does not answer", "Nothing was written. Try again."}
	timedOut       = kind{"timeout", 504, "It took too long", "Nothing was written. Try again."}
	unknownOutcome = kind{"unknown-outcome", 504, "The write may have happened",
		"The connection was lost, or the time was up, during the COMMIT. Repeat a write that bore an Idempotency-Key; read before you repeat any other."}
	unsettled     = kind{"unsettled", 504, "The write is committed, but strict reads may not see it yet", "Do not repeat it."}
	notConsistent = kind{"consistency-unavailable", 400, "The consistency asked for cannot be had", "The entity is not strict, the bound is too small, or the server has no leases."}
	keyReused     = kind{"idempotency-key-reused", 422, "Another request had this Idempotency-Key", "Take a new key for a new request."}
	internal      = kind{"internal", 500, "Something went wrong", "The server's log has more, under the request's id."}
)

var kinds = []kind{notFound, badID, badHeader, badBody, invalid, conflict, precondition, methodBarred, mediaType, tooLarge, unauthorized, forbidden, tooMany, overloaded,
	unavailable, timedOut, unknownOutcome, unsettled, notConsistent, keyReused, internal}

// problem is an error that a client may see (RFC 9457).
type problem struct {
	kind
	detail    string
	fields    entity.FieldErrors
	operation int // of a batch, -1 for none
	header    http.Header
	cause     error  // for the log
	outdated  string // a key whose entry is to be dropped
}

// Error is for logs.
func (p *problem) Error() string {
	if p.cause != nil {
		return fmt.Sprintf("%s: %v", p.name, p.cause)
	}
	return p.name + ": " + p.detail
}

// Unwrap returns what the log is told.
func (p *problem) Unwrap() error { return p.cause }

func (k kind) because(format string, args ...any) *problem {
	return &problem{kind: k, detail: fmt.Sprintf(format, args...), operation: -1}
}

func (k kind) from(err error) *problem { return &problem{kind: k, operation: -1, cause: err} }

func (p *problem) with(header, value string) *problem {
	if p.header == nil {
		p.header = make(http.Header)
	}
	p.header.Set(header, value)
	return p
}

// problemBody is what is sent.
type problemBody struct {
	Type      string         `json:"type"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail,omitempty"`
	Operation *int           `json:"operation,omitempty"`
	Errors    []problemField `json:"errors,omitempty"`
	RequestID string         `json:"request_id"`
}

type problemField struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

func (p *problem) response(requestID string) *response {
	body := problemBody{Type: "/docs#" + p.name, Title: p.title, Status: p.status, Detail: p.detail, RequestID: requestID}
	if p.operation >= 0 {
		body.Operation = &p.operation
	}
	for _, f := range p.fields {
		pointer := "#"
		if f.Field != "" {
			pointer = "#/" + pointerEscaper.Replace(f.Field)
		}
		body.Errors = append(body.Errors, problemField{pointer, f.Reason})
	}
	text, _ := json.Marshal(body)
	r := &response{status: p.status, header: http.Header{"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}}, body: text}
	maps.Copy(r.header, p.header)
	return r
}

// problemOf is the one place that says what an error means to a client.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if fields, ok := errors.AsType[entity.FieldErrors](err); ok {
		p := invalid.because("%v", fields)
		p.fields = fields
		return p
	}
	if id, ok := errors.AsType[*entity.IDError](err); ok {
		return badID.because("%s", id.Reason)
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge.because("the body has more bytes than the server takes")
	}
	if p, ok := errors.AsType[*cache.PayloadError](err); ok {
		return tooLarge.because("the row would have %d bytes as JSON, the cache takes %d", p.Size, p.Limit)
	}
	if p := ofTidelock(err); p != nil {
		return p
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return ofPostgres(e, err)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return unavailable.from(err)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return timedOut.from(err)
	}
	if load, ok := errors.AsType[*reader.LoadError](err); ok {
		return unavailable.from(load)
	}
	return internal.from(err)
}

// ofTidelock knows the errors of our own packages.
func ofTidelock(err error) *problem {
	_, notStrict := errors.AsType[*reader.StrictError](err)
	bound, tooSmall := errors.AsType[*reader.BoundError](err)
	_, noLeases := errors.AsType[*writer.StrictError](err)
	_, open := errors.AsType[*writer.UnsettledError](err)
	switch {
	case open:
		return unsettled.from(err)
	case errors.Is(err, writer.ErrUnknown):
		return unknownOutcome.from(err)
	case notStrict:
		return notConsistent.because("the keys of this entity are not strict, or not yet")
	case tooSmall:
		return notConsistent.because("within=%v is less than can be proved: want at least %v", bound.Asked, reader.WithinLeast)
	case errors.Is(err, reader.ErrNoLeases), noLeases:
		return notConsistent.because("the server has no leases: it was started without NATS")
	case errors.Is(err, reader.ErrUnsettled), errors.Is(err, writer.ErrClosed), errors.Is(err, reader.ErrClosed):
		return unavailable.from(err)
	}
	return nil
}

// ofPostgres says what a statement's failure means. Postgres's own text is shown where it speaks of the values that were sent and of nothing else.
func ofPostgres(e *pgconn.PgError, err error) *problem {
	class := e.Code[:min(2, len(e.Code))]
	switch {
	case e.Code == "23502" || e.Code == "23514" || e.Code == "44000":
		return invalid.because("a constraint of the table forbids it%s", named(e)).causedBy(err)
	case class == "23":
		return conflict.because("a constraint of the table forbids it%s", named(e)).causedBy(err)
	case class == "22":
		return invalid.because("%s", e.Message).causedBy(err)
	case e.Code == "P0001":
		return invalid.because("a trigger of the table forbids it").causedBy(err)
	case class == "54":
		return invalid.because("it is too large or too deep for the database").causedBy(err)
	case e.Code == "57014":
		return timedOut.from(err)
	case slices.Contains([]string{"08", "53", "57", "40"}, class):
		return unavailable.from(err).with("Retry-After", "1")
	}
	return internal.from(err)
}

func (p *problem) causedBy(err error) *problem {
	p.cause = err
	return p
}

func named(e *pgconn.PgError) string {
	if e.ConstraintName == "" {
		return ""
	}
	return fmt.Sprintf(": %q", e.ConstraintName)
}
