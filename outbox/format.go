package outbox

import "context"

// Format returns the format in which entries are to be written (see cache.Cache.SetFormat).
func Format(ctx context.Context, db DB) (format int, err error) {
	err = db.QueryRow(ctx, `SELECT format FROM tidelock.format`).Scan(&format)
	return format, wrap("reading the entries' format", err)
}

// SetFormat has entries written in another format. Writers follow with their next write, readers with their next load, relays with their next chunk. Each of them must be of a
// build that knows it: others would take what they find for somebody else's, which costs loads and nothing else.
func SetFormat(ctx context.Context, db DB, format int) error {
	if _, err := db.Exec(ctx, `UPDATE tidelock.format SET format = $1`, format); err != nil {
		return wrap("changing the entries' format", err)
	}
	return nextGeneration(ctx, db)
}
