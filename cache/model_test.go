package cache_test

import (
	"fmt"

	"github.com/tidelock-cache/tidelock/cache"
)

// made stands for a token that the server makes up. What it is has to be learnt from the server.
const made = "?"

// model is what the cache holds at one key, and the rules of the design, one method for each operation.
type model struct {
	kind    cache.Kind // None when nothing of ours is there
	version int64      // of a placeholder: its bound
	token   string     // of a placeholder
	payload string     // of a value
	foreign string     // with None: bytes that are not ours
	hash    bool       // with None: the key holds another type
}

// ticket is taken by a loader before it reads Postgres. It reports whether the server can answer at all.
func (m *model) ticket() bool {
	if m.hash {
		return false
	}
	if m.kind == cache.None {
		*m = model{kind: cache.Placeholder, token: made}
	}
	return true
}

// apply brings a committed change.
func (m *model) apply(c cache.Change) cache.Outcome {
	known := c.Kind != cache.Placeholder
	switch {
	case m.hash:
		*m = model{}
		return cache.Rejected
	case m.kind == cache.None && known && c.Allocate:
		*m = model{kind: cache.Placeholder, version: c.Version, token: made}
		return cache.Check
	case m.kind == cache.None:
		*m = model{}
		return cache.Settled
	case m.kind == cache.Placeholder:
		return m.applyOntoPlaceholder(c, known)
	case m.version >= c.Version:
		return cache.Superseded
	case known:
		return m.become(c)
	default:
		*m = model{kind: cache.Placeholder, version: c.Version, token: made}
		return cache.Settled
	}
}

func (m *model) applyOntoPlaceholder(c cache.Change, known bool) cache.Outcome {
	recent := c.Version >= m.version
	if known && recent && c.Ticket == m.token {
		return m.become(c)
	}
	m.version = max(m.version, c.Version)
	if known && recent && c.Allocate {
		return cache.Check
	}
	return cache.Settled
}

// fill brings what a loader read.
func (m *model) fill(c cache.Change) cache.Outcome {
	switch {
	case m.kind == cache.None:
		return cache.Refused
	case m.kind == cache.Placeholder && (c.Ticket != m.token || c.Version < m.version):
		return cache.Refused
	case m.kind != cache.Placeholder && m.version >= c.Version:
		return cache.Superseded
	default:
		return m.become(c)
	}
}

func (m *model) become(c cache.Change) cache.Outcome {
	*m = model{kind: c.Kind, version: c.Version, payload: string(c.Payload)}
	return cache.Applied
}

// bytes is what the server has to hold, "" for nothing.
func (m *model) bytes() string {
	switch m.kind {
	case cache.Value:
		return fmt.Sprintf("tl1 V %d\n%s", m.version, m.payload)
	case cache.Absent:
		return fmt.Sprintf("tl1 A %d\n", m.version)
	case cache.Placeholder:
		return fmt.Sprintf("tl1 P %d %s\n", m.version, m.token)
	default:
		return m.foreign
	}
}
