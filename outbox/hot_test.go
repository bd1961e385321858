package outbox_test

import (
	"fmt"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
)

// TestUpdatesStayInTheirPage: a key that is written again and again must not grow the index of versions. It does not run in
// parallel: a transaction that is open anywhere in the server keeps old tuples from being cleared out of the page.
func TestUpdatesStayInTheirPage(t *testing.T) {
	const keys, rounds = 100, 20
	db := rig.DB(t)
	for range rounds {
		for i := range keys {
			_, err := outbox.Lock(t.Context(), db, []string{fmt.Sprint("flight:", i)}, outbox.Strict{})
			must(t, err)
		}
	}
	var updates, hot int64
	stacktest.Eventually(t, patience, func() bool {
		must(t, db.QueryRow(t.Context(), `SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
			WHERE schemaname = 'tidelock' AND relname = 'versions'`).Scan(&updates, &hot))
		return updates == keys*(rounds-1)
	}, "Postgres has counted the updates")
	if hot < updates*8/10 {
		t.Errorf("%d of %d updates were HOT", hot, updates)
	}
}
