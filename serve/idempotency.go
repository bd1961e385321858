package serve

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/writer"
)

var (
	//go:embed sql/claim.sql
	claimSQL string
	//go:embed sql/answer.sql
	answerSQL string
	//go:embed sql/replay.sql
	replaySQL string
	//go:embed sql/forget.sql
	forgetSQL string
)

const (
	idempotencyHeader = "Idempotency-Key"
	replayedHeader    = "Idempotency-Replayed"
	// idempotencyMax is the length of the longest key, in bytes.
	idempotencyMax = 255
	// pruneEvery is the pause between two looks for answers that need not be kept.
	pruneEvery = 10 * time.Minute
)

// errReplay ends a transaction whose request was answered before.
var errReplay = errors.New("the request was answered before")

func checkIdempotencyKey(key string) error {
	for _, c := range []byte(key) {
		if c < ' ' || c > '~' {
			return badHeader.because("%s has a character that is not printable ASCII", idempotencyHeader)
		}
	}
	if len(key) > idempotencyMax {
		return badHeader.because("%s has more than %d characters", idempotencyHeader, idempotencyMax)
	}
	return nil
}

// performOnce does operations unless the client has had them done under this key, and else answers as it did then.
func (s *Server) performOnce(q *request, key string, operations []*operation) (*performed, error) {
	c := &claim{client: q.client.Name, key: key, fingerprint: fingerprint(q)}
	done, err := s.performOwn(q, operations, c)
	if errors.Is(err, errReplay) {
		return c.replay(q.Context(), s, operations)
	}
	return done, err
}

// fingerprint is what tells two requests apart.
func fingerprint(q *request) string {
	h := sha256.New()
	for _, part := range []string{q.Method, q.URL.EscapedPath(), q.Header.Get("If-Match"), q.Header.Get("If-None-Match"), string(q.body)} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return string(h.Sum(nil))
}

// take takes the key, or returns errReplay.
func (c *claim) take(ctx context.Context, tx *writer.Tx) error {
	if c == nil {
		return nil
	}
	tag, err := tx.Exec(ctx, claimSQL, c.client, c.key, []byte(c.fingerprint))
	if err == nil && tag.RowsAffected() == 0 {
		return errReplay
	}
	return err
}

// keep keeps the answer, in the transaction of the write.
func (c *claim) keep(ctx context.Context, tx *writer.Tx, operations []*operation, rows [][]byte) error {
	if c == nil {
		return nil
	}
	keys, texts := make([]string, len(operations)), make([]*string, len(operations))
	for i, o := range operations {
		keys[i] = o.key
		if rows[i] != nil {
			text := string(rows[i])
			texts[i] = &text
		}
	}
	_, err := tx.Exec(ctx, answerSQL, c.client, c.key, keys, texts)
	return err
}

// replay answers as before, but for what the cache holds, and for the entity-tag of a row that was changed since.
func (c *claim) replay(ctx context.Context, s *Server, operations []*operation) (*performed, error) {
	var former []byte
	var texts []*string
	p := &performed{operations: operations, replayed: true}
	err := s.cfg.DB.QueryRow(ctx, replaySQL, c.client, c.key).Scan(&former, &texts, &p.versions, &p.own)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // it was forgotten this moment
		return nil, overloaded.because("try again").with("Retry-After", "1")
	case err != nil:
		return nil, err
	case string(former) != c.fingerprint:
		return nil, keyReused.because("it came with another method, path, condition or body")
	}
	for _, text := range texts {
		var row []byte
		if text != nil {
			row = []byte(*text)
		}
		p.rows = append(p.rows, row)
	}
	return p, nil
}

// prune forgets old answers until the server is closed.
func (s *Server) prune(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if err := s.forget(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("forgetting_requests_failed", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Server) forget(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		tag, err := s.cfg.DB.Exec(ctx, forgetSQL, s.cfg.keepRequests())
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
	}
}
