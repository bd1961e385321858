package dashboard

import (
	"sync"
	"time"
)

const (
	// eventsMost and eventsFor bound what is remembered.
	eventsMost = 300
	eventsFor  = 24 * time.Hour
)

// Event is something that happened.
type Event struct {
	At    int64  `json:"at"` // milliseconds since 1970
	Level Level  `json:"level"`
	Kind  string `json:"kind"` // trust, cache, postgres, nats, server, repair, guardian, records, action
	Text  string `json:"text"`
}

// timeline remembers events, in memory.
type timeline struct {
	distrusted time.Time // when the distrust began that was seen last; of Run's goroutine

	mu     sync.Mutex // guards what follows
	events []Event
	fresh  bool // since news was asked for
}

func (t *timeline) add(at time.Time, level Level, kind, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	oldest := at.Add(-eventsFor).UnixMilli()
	for len(t.events) > 0 && (len(t.events) >= eventsMost || t.events[0].At < oldest) {
		t.events = t.events[1:]
	}
	t.events = append(t.events, Event{At: at.UnixMilli(), Level: level, Kind: kind, Text: text})
	t.fresh = true
}

// all returns the events, oldest first.
func (t *timeline) all() []Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Event{}, t.events...)
}

// news returns all events if there is a new one.
func (t *timeline) news() ([]Event, bool) {
	t.mu.Lock()
	fresh := t.fresh
	t.fresh = false
	t.mu.Unlock()
	return t.all(), fresh
}
