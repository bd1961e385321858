package outbox_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/migrations"
	"github.com/tidelock-cache/tidelock/outbox"
)

// TestTraceIsKept writes records in each way: one bears its trace, and null is what those have that bear none.
func TestTraceIsKept(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	traced := func(key string) outbox.Record {
		r := set(key, "x")
		r.Trace = parent
		return r
	}
	db := rig.DB(t)
	add(t, db, time.Hour, traced("alone"))
	add(t, db, time.Hour, set("alone untraced", "x"))
	add(t, db, time.Hour, traced("a"), set("b", "x"))
	add(t, db, time.Hour, set("c", "x"), set("d", "x"))
	tx := begin(t, db)
	lockAndInsert(t, tx, time.Hour, []outbox.Record{traced("e"), set("f", "x")})
	lockAndInsert(t, tx, time.Hour, []outbox.Record{set("g", "x")})
	must(t, tx.Commit(t.Context()))
	for key, want := range map[string]string{"alone": parent, "alone untraced": "", "a": parent, "b": "", "c": "", "d": "", "e": parent, "f": "", "g": ""} {
		version := value[int64](t, db, "SELECT version FROM tidelock.outbox WHERE key = $1 AND (trace IS NULL) = ($2 = '')", key, want)
		read, err := outbox.Read(t.Context(), db, []int64{version})
		must(t, err)
		if read[0].Trace != want {
			t.Errorf("the trace of %s is %q, want %q", key, read[0].Trace, want)
		}
	}
}

// TestCheckFindsAnOlderSchema: whoever starts before the schema is brought up to date is told so, rather than failing with the first write.
func TestCheckFindsAnOlderSchema(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	must(t, outbox.Check(t.Context(), db))
	older := func(says string) {
		t.Helper()
		if err := outbox.Check(t.Context(), db); !errors.Is(err, outbox.ErrNoSchema) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want ErrNoSchema, and that it says %q", err, says)
		}
	}
	exec(t, db, "SELECT setval('tidelock.strict_generation', 1, false)") // as it is before 00010
	older("tenth")
	exec(t, db, "SELECT setval('tidelock.strict_generation', 1)")
	for version := int64(0); version != 9; {
		must(t, outbox.Check(t.Context(), db))
		var err error
		version, err = migrations.Down(t.Context(), db.Config().ConnString())
		must(t, err)
	}
	older("")
}
