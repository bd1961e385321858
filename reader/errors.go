package reader

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNotFound says that the key has no row.
	ErrNotFound = errors.New("not found")
	// ErrClosed is returned by a reader after Close.
	ErrClosed = errors.New("the reader is closed")
)

// LoadError says that keys which the cache does not hold, or not as new as was asked, could not be read from Postgres, or for a session's read that it
// could not be found out how new they were.
type LoadError struct {
	Keys []string
	Err  error
}

func (e *LoadError) Error() string {
	keys := e.Keys
	more := ""
	if len(keys) > 3 {
		keys, more = keys[:3], fmt.Sprintf(" and %d more", len(e.Keys)-3)
	}
	return fmt.Sprintf("loading %s%s: %v", strings.Join(keys, ", "), more, e.Err)
}

// Unwrap returns the cause: the caller's load's own error, or that of reading the versions.
func (e *LoadError) Unwrap() error { return e.Err }
