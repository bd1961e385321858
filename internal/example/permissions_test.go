package example

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/writer"
)

// grants are those that docs/operations.md tells an operator to give.
var grants = map[string]string{
	"a_writer": `GRANT USAGE ON SCHEMA tidelock TO a_writer; GRANT USAGE ON SEQUENCE tidelock.version_seq TO a_writer;
		GRANT SELECT, INSERT, UPDATE ON tidelock.versions TO a_writer; GRANT SELECT, INSERT, UPDATE, DELETE ON tidelock.outbox TO a_writer;
		GRANT SELECT ON tidelock.floor, tidelock.servers, tidelock.strict, tidelock.strict_generation TO a_writer`,
	"a_reader": `GRANT USAGE ON SCHEMA tidelock TO a_reader; GRANT SELECT ON tidelock.versions, tidelock.floor TO a_reader`,
	"a_relay": `GRANT USAGE ON SCHEMA tidelock TO a_relay; GRANT SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA tidelock TO a_relay;
		GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tidelock TO a_relay;
		GRANT TRUNCATE ON tidelock.outbox_0, tidelock.outbox_1, tidelock.outbox_2 TO a_relay`,
}

// as returns a pool of the database that works as the role.
func as(t *testing.T, db *pgxpool.Pool, role string) *pgxpool.Pool {
	t.Helper()
	if _, err := db.Exec(t.Context(), `CREATE ROLE `+role+` LOGIN`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = db.Exec(context.Background(), `DROP OWNED BY `+role+`; DROP ROLE `+role)
	})
	if _, err := db.Exec(t.Context(), grants[role]); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(db.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	return rig.Pool(t, u.String())
}

// TestDocumentedPermissionsSuffice does everything with the rights that the documentation asks for and no others.
func TestDocumentedPermissionsSuffice(t *testing.T) {
	ctx := t.Context()
	db := rig.DB(t)
	server := stacktest.OwnValkey(t)
	admin := rig.Valkey(t, server.URL())
	err := admin.Do(ctx, admin.B().Arbitrary("ACL", "SETUSER", "tidelock", "on", ">secret", "~perm:*", "~tidelock:*",
		"+get", "+mget", "+set", "+getrange", "+setrange", "+unlink", "+pttl", "+evalsha", "+eval", "+info", "+scan").Build()).Error()
	if err != nil {
		t.Fatal(err)
	}
	limited := "valkey://tidelock:secret@" + server.Addr()
	c := rig.Cache(t, limited)
	w := rig.Writer(t, writer.Config{DB: as(t, db, "a_writer"), Cache: c})
	write := func(w *writer.Writer, key string) writer.Result {
		t.Helper()
		result, err := w.Write(ctx, func(context.Context, *writer.Tx) error { return nil }, writer.Set(key, []byte(key)))
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	if got := write(w, "perm:1"); got.Keys[0].Outcome != writer.Applied {
		t.Errorf("a write gave %+v, want applied", got)
	}
	r, err := reader.NewRaw(reader.Config{Cache: c, DB: as(t, db, "a_reader"), Load: func(_ context.Context, keys []string) (map[string][]byte, error) {
		return map[string][]byte{keys[0]: []byte("loaded")}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	for _, hit := range []bool{false, true} {
		if got, err := r.Get(ctx, "perm:2"); err != nil || got.Hit != hit || string(got.Bytes) != "loaded" {
			t.Errorf("got %+v, %v, want the loaded value, from the cache: %v", got, err, hit)
		}
	}
	relaying := as(t, db, "a_relay")
	rig.Relay(t, relay.Config{DB: relaying, Cache: rig.Cache(t, limited), NATS: rig.NATS(t, stacktest.NATS(t).URL())})
	down := rig.Writer(t, writer.Config{DB: db, Cache: rig.Cache(t, "valkey://127.0.0.1:1"), Grace: time.Millisecond})
	write(down, "perm:3")
	stacktest.Eventually(t, 10*time.Second, func() bool {
		e, err := c.Get(ctx, "perm:3")
		return err == nil && e.Kind == cache.Value
	}, "the relay brings the value")
	if _, err := outbox.Prune(ctx, relaying, time.Hour); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := outbox.Rotate(ctx, relaying, 1); err != nil {
			t.Error(err)
		}
	}
	stacktest.Eventually(t, 10*time.Second, func() bool {
		_, servers, err := outbox.Horizon(ctx, db, outbox.Mark{})
		return err == nil && len(servers) == 1 && !servers[0].Doubt()
	}, "the guardian puts the server on record")
}
