package outbox_test

import (
	"slices"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/outbox"
)

// TestRetiredByAge retires records of known ages, one of them from the future: clocks are set back.
func TestRetiredByAge(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	var settled []outbox.Settled
	want := make([]int64, len(outbox.AgeBounds)+1)
	for age, class := range map[string]int{"-1 hour": 0, "40 s": slices.Index(outbox.AgeBounds, 60), "45 s": slices.Index(outbox.AgeBounds, 60), "2 hours": len(outbox.AgeBounds)} {
		settled = append(settled, outbox.Settled{Key: age, Version: one(t, db, age)})
		want[class]++
		_, err := db.Exec(t.Context(), "UPDATE tidelock.outbox SET created_at = clock_timestamp() - $1::text::interval WHERE key = $1", age)
		must(t, err)
	}
	settled = append(settled, outbox.Settled{Key: "of another version", Version: 1 << 40})
	done, err := outbox.Retire(t.Context(), db, settled)
	must(t, err)
	const seconds = 40 + 45 + 2*3600
	if done.Records != 4 || !slices.Equal(done.Ages, want) || done.Seconds < seconds || done.Seconds > seconds+60 {
		t.Errorf("4 records that are %d s old together are told as %+v, want %v", seconds, done, want)
	}
}
