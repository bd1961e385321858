package writer_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/writer"
)

// oneCommitter makes every Put go through one committer, so that a test can hold it up and decide who shares a group.
func oneCommitter(c *writer.Config) { c.Committers = 1 }

// holdUp keeps a session busy for as long as somebody has the advisory lock. It does not wait for that lock: a Put that waits for
// a lock does not keep its committer.
const holdUp = `CREATE OR REPLACE FUNCTION hold_up(k text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT pg_try_advisory_xact_lock(hashtext(k)) LOOP PERFORM pg_sleep(0.005); END LOOP;
	RETURN k;
END $$`

// occupy runs a Put of the key whose statement, which must call hold_up($1), goes on until release is called.
func (v *world) occupy(t *testing.T, ctx context.Context, w *writer.Writer, key, sql string) (done <-chan answer, release func()) {
	t.Helper()
	v.exec(t, holdUp)
	held := v.begin(t)
	_, err := held.Exec(t.Context(), "SELECT pg_advisory_xact_lock(hashtext($1))", key)
	must(t, err)
	done = start(func() (writer.Result, error) {
		return w.Put(ctx, writer.Put{Key: key, SQL: sql, Args: []any{key}})
	})
	stacktest.Eventually(t, patience, func() bool {
		return value[int](t, v, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'") == 1
	}, "the committer is busy")
	return done, func() { must(t, held.Rollback(t.Context())) }
}

// together makes the Puts one group: they queue up behind one that keeps the only committer busy until it is let go.
func (v *world) together(t *testing.T, w *writer.Writer, puts []writer.Put) []answer {
	t.Helper()
	firstDone, release := v.occupy(t, t.Context(), w, v.prefix+"first in "+t.Name(), "SELECT hold_up($1)")
	answers := make([]answer, len(puts))
	var work sync.WaitGroup
	for i, put := range puts {
		work.Go(func() { answers[i].result, answers[i].err = w.Put(t.Context(), put) })
	}
	stacktest.Eventually(t, patience, func() bool { return queuedByMe() == len(puts) }, "all Puts are queued")
	release()
	must(t, (<-firstDone).err)
	work.Wait()
	return answers
}

// queuedByMe counts the goroutines that the caller's has started through a WaitGroup and that stand still in Put. No event tells of
// them: they have come to the end of what they can do.
func queuedByMe() (n int) {
	stacks := make([]byte, 4<<20)
	goroutines := strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n")
	me := strings.Fields(goroutines[0])[1]
	for _, g := range goroutines[1:] {
		header, frames, _ := strings.Cut(g, "\n")
		if strings.Contains(header, "[select") && strings.Contains(frames, "writer.(*Writer).Put(") &&
			strings.Contains(frames, "sync.(*WaitGroup).Go in goroutine "+me+"\n") {
			n++
		}
	}
	return n
}

func puts(keys []string) (puts []writer.Put) {
	for _, key := range keys {
		puts = append(puts, putting(key, "new"))
	}
	return puts
}

func TestPutsShareATransaction(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t, oneCommitter)
	keys := v.warm(t, v.numbered(t, 64)...)
	for i, a := range v.together(t, w, puts(keys)) {
		must(t, a.err)
		v.holds(t, keys[i], "new")
		if k := a.result.Keys[0]; k.Key != keys[i] || k.Version != v.entry(t, keys[i]).Version {
			t.Errorf("the result of %s is %+v, the entry %+v", keys[i], k, v.entry(t, keys[i]))
		}
	}
	if n := value[int](t, v, "SELECT count(DISTINCT xmin::text) FROM item WHERE key = ANY ($1)", keys); n != 1 {
		t.Errorf("64 Puts that were queued at the same time took %d transactions", n)
	}
}

func TestGroupMax(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t, oneCommitter, func(c *writer.Config) { c.GroupMax = 10 })
	keys := v.numbered(t, 35)
	for _, a := range v.together(t, w, puts(keys)) {
		must(t, a.err)
	}
	if n := value[int](t, v, "SELECT count(DISTINCT xmin::text) FROM item WHERE key = ANY ($1)", keys); n != 4 {
		t.Errorf("35 Puts in groups of 10 took %d transactions", n)
	}
}

// bad are statements that must fail alone, and how.
var bad = map[string]struct {
	put  writer.Put
	want func(error) bool
}{
	"division by zero": {writer.Put{SQL: "UPDATE item SET n = 1 / 0 WHERE key = $1 RETURNING value"}, isPg("22012")},
	"syntax error":     {writer.Put{SQL: "UPDATE item SET $1"}, isPg("42601")},
	"no such table":    {writer.Put{SQL: "UPDATE itme SET n = 1 WHERE key = $1 RETURNING value"}, isPg("42P01")},
	"zero rows":        {writer.Put{SQL: "UPDATE item SET n = 1 WHERE key = $1 AND false RETURNING value"}, is(writer.ErrOneRow)},
	"two rows":         {writer.Put{SQL: "UPDATE item SET n = 1 WHERE key >= $1 RETURNING value"}, is(writer.ErrOneRow)},
	"no RETURNING":     {writer.Put{SQL: "UPDATE item SET n = 1 WHERE key = $1"}, is(writer.ErrOneRow)},
	"null payload":     {writer.Put{SQL: "UPDATE item SET n = 1 WHERE key = $1 RETURNING null::text"}, is(writer.ErrPayloadColumn)},
	"int payload":      {writer.Put{SQL: "UPDATE item SET n = 1 WHERE key = $1 RETURNING n"}, is(writer.ErrPayloadColumn)},
	"no columns":       {writer.Put{SQL: "SELECT FROM item WHERE key = $1"}, is(writer.ErrPayloadColumn)},
	"large payload": {writer.Put{SQL: "UPDATE item SET n = 1 WHERE key = $1 RETURNING repeat('x', 1 << 20) || 'x'"}, func(err error) bool {
		_, ok := errors.AsType[*cache.PayloadError](err)
		return ok
	}},
	"argument of another type":    {writer.Put{SQL: updateSQL, Args: []any{"k", struct{ X chan int }{}}}, isPlain},
	"too few arguments":           {writer.Put{SQL: updateSQL, Args: []any{"k"}}, isPlain},
	"argument whose method fails": {writer.Put{SQL: updateSQL, Args: []any{"k", panics{}}}, isPlain},
}

func is(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }

func isPg(code string) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*pgconn.PgError](err)
		return ok && e.Code == code
	}
}

// isPlain accepts an error that says nothing was committed.
func isPlain(err error) bool { return err != nil && !errors.Is(err, writer.ErrUnknown) }

// panics is an argument that pgx cannot encode without a panic.
type panics struct{}

func (panics) Value() (driver.Value, error) { panic("mine") }

// TestBadPutFailsAlone puts one of them into the company of good ones.
func TestBadPutFailsAlone(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t, oneCommitter)
	for name, b := range bad {
		t.Run(name, func(t *testing.T) {
			defer v.exec(t, "DELETE FROM item") // a bad one may mean all rows
			group := puts(v.warm(t, v.rows(t, name+"a", name+"b", name+"m", name+"y", name+"z")...))
			b.put.Key = group[2].Key
			if b.put.Args == nil {
				b.put.Args = []any{b.put.Key}
			}
			group[2] = b.put
			for i, a := range v.together(t, w, group) {
				if i == 2 {
					if !b.want(a.err) || !isPlain(a.err) {
						t.Errorf("the bad one: %v", a.err)
					}
					v.untouched(t, b.put.Key)
					continue
				}
				must(t, a.err)
				v.holds(t, group[i].Key, "new")
			}
		})
	}
}

// TestOneBadPutAmongMany: the others still share a transaction.
func TestOneBadPutAmongMany(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t, oneCommitter)
	keys := v.warm(t, v.numbered(t, 64)...)
	group := puts(keys)
	group[17].SQL = bad["division by zero"].put.SQL
	group[17].Args = group[17].Args[:1]
	for i, a := range v.together(t, w, group) {
		if i == 17 {
			if !isPg("22012")(a.err) {
				t.Errorf("the bad one: %v", a.err)
			}
			v.untouched(t, keys[i])
			continue
		}
		must(t, a.err)
		v.holds(t, keys[i], "new")
	}
	if n := value[int](t, v, "SELECT count(DISTINCT xmin::text) FROM item WHERE key = ANY ($1) AND value = 'new'", keys); n != 1 {
		t.Errorf("the 63 good ones took %d transactions", n)
	}
}

func TestAllBadPutsTogether(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t, oneCommitter)
	good := v.warm(t, v.numbered(t, 64)...)
	group := puts(good)
	var names []string
	for name, b := range bad {
		b.put.Key = v.rows(t, name)[0]
		if b.put.Args == nil {
			b.put.Args = []any{b.put.Key}
		}
		group, names = append(group, b.put), append(names, name)
	}
	for i, a := range v.together(t, w, group) {
		if i < len(good) {
			must(t, a.err)
			if v.holds(t, good[i], "new"); a.result.Keys[0].Outcome != writer.Applied {
				t.Errorf("the result is %+v", a.result)
			}
			continue
		}
		if name := names[i-len(good)]; !bad[name].want(a.err) {
			t.Errorf("%s: %v", name, a.err)
		}
		v.untouched(t, group[i].Key)
	}
}

// TestOneKeyManyTimes: the last to commit is what row and entry hold, and every caller has a version.
func TestOneKeyManyTimes(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	key := v.warm(t, v.rows(t, "k")...)[0]
	const callers, each = 16, 8
	var work sync.WaitGroup
	for i := range callers {
		work.Go(func() {
			for j := range each {
				result, err := w.Put(t.Context(), putting(key, fmt.Sprint(i, j)))
				if err != nil || result.Version() == 0 {
					t.Errorf("got %+v, %v", result, err)
				}
			}
		})
	}
	work.Wait()
	v.holds(t, key, v.row(t, key))
	if n := value[int](t, v, "SELECT n FROM item WHERE key = $1", key); n != callers*each {
		t.Errorf("%d Puts came through, want %d", n, callers*each)
	}
}

func TestOneKeyTwiceInAGroup(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t, oneCommitter)
	key := v.warm(t, v.rows(t, "k")...)[0]
	answers := v.together(t, w, []writer.Put{putting(key, "a"), putting(key, "b"), putting(key, "c")})
	e := v.entry(t, key)
	for _, a := range answers {
		must(t, a.err)
		if a.result.Version() != e.Version {
			t.Errorf("a Put of the group got version %d, the entry has %d", a.result.Version(), e.Version)
		}
	}
	v.holds(t, key, v.row(t, key))
}
