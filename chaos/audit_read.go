package chaos

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/valkey-io/valkey-go"
)

// auditBytes is how much of an entry is read: its header, and what the payload begins with.
const auditBytes = 200

// fact is what Postgres says of a key.
type fact struct {
	version, n, op int64 // version is 0 without a row in tidelock.versions
	gone, pending  bool
}

// snapshot is what Postgres says at an instant.
type snapshot struct {
	facts map[string]fact
	// run is the server on record, empty for none.
	run     string
	doubt   bool
	moved   bool   // the database is of another history than its guardian knows
	history string // the name of the history
}

const selectFacts = `WITH h AS MATERIALIZED (
    SELECT coalesce(s.run_id, '') AS run_id, s.repair_from IS NOT NULL OR s.drop_above IS NOT NULL AS doubt, g.history,
        g.origin <> (SELECT system_identifier FROM pg_control_system()) || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) AS moved
    FROM tidelock.guardian g LEFT JOIN tidelock.servers s ON true
)
SELECT k.key, coalesce(v.version, 0), coalesce(r.n, p.n, 0), coalesce(r.op, 0), coalesce(r.gone, r.id IS NULL AND p.n IS NULL), o.key IS NOT NULL,
    h.run_id, h.doubt, h.moved, h.history
FROM h CROSS JOIN unnest($1::text[]) AS k (key)
    LEFT JOIN tidelock.versions v ON v.key = k.key
    LEFT JOIN chaos_rows r ON r.id = k.key
    LEFT JOIN (SELECT id, sum(n)::bigint AS n FROM chaos_parts GROUP BY id) p ON p.id = k.key
    LEFT JOIN (SELECT DISTINCT key FROM tidelock.outbox WHERE aside IS NULL) o ON o.key = k.key`

// readPostgres takes a snapshot, on the Postgres of the moment.
func (a *auditor) readPostgres(ctx context.Context, keys []string) (*snapshot, error) {
	if err := a.dial(ctx); err != nil {
		return nil, err
	}
	rows, err := a.db.Query(ctx, selectFacts, keys)
	if err != nil {
		return nil, fmt.Errorf("auditing postgres: %w", err)
	}
	s := &snapshot{facts: make(map[string]fact, len(keys))}
	var key string
	var f fact
	_, err = pgx.ForEachRow(rows, []any{&key, &f.version, &f.n, &f.op, &f.gone, &f.pending, &s.run, &s.doubt, &s.moved, &s.history}, func() error {
		s.facts[key] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("auditing postgres: %w", err)
	}
	return s, nil
}

func (a *auditor) dial(ctx context.Context) (err error) {
	at := a.scene.databaseAt()
	if a.db != nil && a.at != at {
		a.hangUp(ctx)
	}
	if a.db != nil {
		return nil
	}
	a.at = at
	cfg, err := pgx.ParseConfig(at)
	if err != nil {
		return fmt.Errorf("reading the URL of postgres: %w", err)
	}
	cfg.RuntimeParams["jit"] = "off"
	if a.db, err = pgx.ConnectConfig(ctx, cfg); err != nil {
		return fmt.Errorf("connecting the auditor to postgres: %w", err)
	}
	return nil
}

func (a *auditor) hangUp(ctx context.Context) {
	if a.db != nil {
		_ = a.db.Close(ctx)
		a.db = nil
	}
}

// entry is what the cache holds at a key.
type entry struct {
	kind           string // V, A or P; empty for nothing, and for what is not ours
	version, n, op int64
}

// sight is what one server holds at the keys.
type sight struct {
	run     string
	history string // the first of the database, with which uncommitted versions can be told; else empty
	entries map[string]entry
}

// readCache reads the keys from the Valkey that counts, in one pipeline between two questions who it is.
func (a *auditor) readCache(ctx context.Context, keys []string) (*sight, error) {
	client, err := a.client()
	if err != nil {
		return nil, err
	}
	commands := make(valkey.Commands, 0, len(keys)+2)
	commands = append(commands, client.B().Info().Section("server").Build())
	for _, key := range keys {
		commands = append(commands, client.B().Getrange().Key(key).Start(0).End(auditBytes-1).Build())
	}
	commands = append(commands, client.B().Info().Section("server").Build())
	replies := client.DoMulti(ctx, commands...)
	first, err := runID(replies[0])
	if err != nil {
		return nil, err
	}
	last, err := runID(replies[len(replies)-1])
	if err != nil || last != first {
		return nil, fmt.Errorf("another server has answered meanwhile: %w", err)
	}
	s := &sight{run: first, entries: make(map[string]entry, len(keys))}
	for i, key := range keys {
		text, err := replies[i+1].AsBytes() // of another type is nothing
		if err == nil {
			s.entries[key] = parseEntry(text)
		}
	}
	return s, nil
}

// client talks to the Valkey that counts.
func (a *auditor) client() (client valkey.Client, err error) {
	a.scene.mu.Lock()
	server := a.scene.primary
	a.scene.mu.Unlock()
	if client := a.cache[server]; client != nil {
		return client, nil
	}
	if client, err = openValkey(server.URL()); err == nil {
		a.cache[server] = client
	}
	return client, err
}

func runID(reply valkey.ValkeyResult) (string, error) {
	info, err := reply.ToString()
	if err != nil {
		return "", fmt.Errorf("asking valkey who it is: %w", err)
	}
	_, rest, _ := strings.Cut(info, "run_id:")
	run, _, _ := strings.Cut(rest, "\r\n")
	return run, nil
}

// parseEntry reads the header and how the payload begins, on purpose without the help of what is attacked.
func parseEntry(text []byte) entry {
	header, payload, whole := bytes.Cut(text, []byte("\n"))
	fields := strings.Fields(string(header))
	if !whole || len(fields) < 3 || len(fields[0]) != 3 || fields[0][:2] != "tl" {
		return entry{}
	}
	version, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return entry{}
	}
	return entry{kind: fields[1], version: version, n: numberAfter(payload, `"n" :`), op: numberAfter(payload, `"op" :`)}
}

// numberAfter is the number after a name in JSON as Postgres writes it, 0 for none.
func numberAfter(text []byte, name string) int64 {
	_, rest, _ := bytes.Cut(text, []byte(name))
	rest = bytes.TrimSpace(rest)
	end := bytes.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	n, _ := strconv.ParseInt(string(rest[:max(end, 0)]), 10, 64)
	return n
}
