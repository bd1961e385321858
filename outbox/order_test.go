package outbox_test

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/outbox"
)

// commit is one committed transaction: the version it drew and its place in the order of commits.
type commit struct{ version, place int64 }

// TestVersionOrderIsCommitOrder lets 32 writers write one key, which is new when they begin. Each takes the next number from a row
// after it has drawn its version and holds that row to the end, so the numbers are the order of the commits.
func TestVersionOrderIsCommitOrder(t *testing.T) {
	t.Parallel()
	for name, draw := range map[string]func(context.Context, pgx.Tx) (int64, error){
		"Append": func(ctx context.Context, tx pgx.Tx) (int64, error) {
			records := []outbox.Record{set("k", "x")}
			var b pgx.Batch
			outbox.Append(&b, records, time.Hour, outbox.Strict{})
			err := tx.SendBatch(ctx, &b).Close()
			return records[0].Version, err
		},
		"Lock": func(ctx context.Context, tx pgx.Tx) (int64, error) {
			locked, err := outbox.Lock(ctx, tx, []string{"k"}, outbox.Strict{})
			return locked.Version("k"), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			commits := race(t, draw)
			slices.SortFunc(commits, func(a, b commit) int { return cmp.Compare(a.place, b.place) })
			for i := 1; i < len(commits); i++ {
				if commits[i].version <= commits[i-1].version {
					t.Fatalf("commit %d has version %d, the one before it %d", commits[i].place, commits[i].version, commits[i-1].version)
				}
			}
		})
	}
}

func race(t *testing.T, draw func(context.Context, pgx.Tx) (int64, error)) (commits []commit) {
	const writers, each = 32, 10
	db := wide(t, rig.DB(t), writers)
	exec(t, db, "CREATE TABLE place (n bigint NOT NULL)")
	exec(t, db, "INSERT INTO place VALUES (0)")
	var mu sync.Mutex
	var work sync.WaitGroup
	for range writers {
		work.Go(func() {
			for range each {
				var c commit
				err := pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) (err error) {
					if c.version, err = draw(t.Context(), tx); err != nil {
						return err
					}
					return tx.QueryRow(t.Context(), "UPDATE place SET n = n + 1 RETURNING n").Scan(&c.place)
				})
				if err != nil {
					t.Errorf("writing: %v", err)
					return
				}
				mu.Lock()
				commits = append(commits, c)
				mu.Unlock()
			}
		})
	}
	work.Wait()
	if len(commits) != writers*each {
		t.Fatalf("%d commits, want %d", len(commits), writers*each)
	}
	return commits
}

// TestOverlappingKeysDoNotDeadlock has two transactions name the same keys in opposite orders while a third holds the
// one in the middle: if each began with its own first key, each would end up with what the other needs.
func TestOverlappingKeysDoNotDeadlock(t *testing.T) {
	t.Parallel()
	for name, lock := range map[string]func(context.Context, pgx.Tx, ...string) error{
		"Append": func(ctx context.Context, tx pgx.Tx, keys ...string) error {
			var records []outbox.Record
			for _, key := range keys {
				records = append(records, set(key, "x"))
			}
			var b pgx.Batch
			outbox.Append(&b, records, 0, outbox.Strict{})
			return tx.SendBatch(ctx, &b).Close()
		},
		"Lock": func(ctx context.Context, tx pgx.Tx, keys ...string) error {
			_, err := outbox.Lock(ctx, tx, keys, outbox.Strict{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := wide(t, rig.DB(t), 8)
			add(t, db, 0, set("a", "x"), set("m", "x"), set("z", "x"))
			middle := begin(t, db)
			must(t, lock(t.Context(), middle, "m"))
			done := make(chan error, 2)
			for _, keys := range [][]string{{"a", "m", "z"}, {"z", "m", "a"}} {
				go func() {
					done <- pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error { return lock(t.Context(), tx, keys...) })
				}()
			}
			awaitWaiting(t, db, 2)
			must(t, middle.Rollback(t.Context()))
			for range 2 {
				if err := <-done; err != nil {
					t.Errorf("locking the keys: %v", err)
				}
			}
		})
	}
}
