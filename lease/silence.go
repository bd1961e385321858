package lease

import (
	"time"

	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/outbox"
)

// Silence finds out that nobody trusts the cache from the row of the guardian's office alone, for those who cannot reach the guardian. Either the row says
// so; or it has not changed for so long that the guardian has lost the office by its own clock and all that it granted has run out. Nobody needs to
// know what Postgres's clock says.
//
// A statement that keeps the office may have been sent before the office ended, and be under way for any time. But the guardian counts by when it was sent, and
// grants nothing on the strength of it until it has the answer. So within twice the length of a term it is over in any case.
type Silence struct {
	row   outbox.Row
	since time.Duration // when it was seen first
	known bool
}

// Read notes a row that was asked for at a time, and had come by another. It reports whether nobody trusted the cache when it was read; that holds for the length
// of a lease from when it was asked for, for whoever is guardian afterwards waits as long.
func (s *Silence) Read(asked, came time.Duration, row outbox.Row) bool {
	if !s.known || row != s.row {
		s.row, s.since, s.known = row, came, true
	}
	return row.Suspended || asked-s.since >= slow(row.Lasts+max(row.Lasts, Length)) || mutant.On("silence-waits")
}
