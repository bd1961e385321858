package stacktest

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// adminTimeout bounds the creation and the removal of a database.
const adminTimeout = 30 * time.Second

// Database makes an empty database on the shared Postgres, drops it when the test ends, along with the sessions that
// are still in it, and returns its URL.
func Database(t testing.TB) string {
	t.Helper()
	return DatabaseLike(t, "template1")
}

// DatabaseLike is Database for a copy of another database, which nobody may be connected to.
func DatabaseLike(t testing.TB, template string) string {
	t.Helper()
	base := Postgres(t).URL()
	name := "test_" + strings.ToLower(rand.Text())
	admin(t, base, "CREATE DATABASE "+name+" TEMPLATE "+template)
	t.Cleanup(func() { admin(t, base, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return urlOf(t, base, name)
}

// Template makes a database that stays as long as the shared Postgres, for DatabaseLike, and returns its URL.
func Template(t testing.TB, name string) string {
	t.Helper()
	base := Postgres(t).URL()
	admin(t, base, "CREATE DATABASE "+name)
	return urlOf(t, base, name)
}

func urlOf(t testing.TB, base, database string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatalf("stacktest: reading the URL of the server: %v", err)
	}
	u.Path = "/" + database
	return u.String()
}

// admin runs a statement on the server's own database. The test's context has ended when cleanups run.
func admin(t testing.TB, url, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), adminTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Errorf("stacktest: %v", err)
		return
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Errorf("stacktest: %s: %v", sql, err)
	}
}
