package cache

import "fmt"

// FormatError says that this build does not know a format of entries.
type FormatError struct{ Format int }

// Error says which it knows.
func (e *FormatError) Error() string {
	return fmt.Sprintf("entries of format %d are not known to this build, which knows 1 to %d", e.Format, FormatMax)
}

// Format is the format that values are written in.
func (c *Cache) Format() int { return int(c.format.Load()) }

// SetFormat has values written in a format from now on: the first one until it is called. Entries of every format up to FormatMax are read. For a higher one it returns a
// *FormatError, and values are written in FormatMax.
//
// So builds of different age can share a cache: all of them write what the oldest of them reads, until that is gone. Writers, readers and relays take the format from Postgres
// (outbox.SetFormat). An entry that a build cannot read is to it as if somebody else had written it: never served, and deleted rather than left where its key is written. The
// idea is that of Kafka's inter.broker.protocol.version.
func (c *Cache) SetFormat(format int) error {
	c.format.Store(int32(min(max(format, 1), FormatMax)))
	if format < 1 || format > FormatMax {
		return &FormatError{format}
	}
	return nil
}
