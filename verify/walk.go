package verify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
)

// walk goes over all keys, and follows those that are late.
type walk struct {
	cfg    Config
	log    *zap.Logger
	limit  *rate.Limiter
	last   string // the last key that was compared
	over   bool   // all keys were
	late   []late // in the order of their next looks
	report Report
}

// late is a key that was behind, and known to be.
type late struct {
	key     string
	version int64     // that it should be at
	found   time.Time // when it was read first
	missed  int       // windows that it has missed
	next    time.Time // when to look again
}

// run takes steps until all keys were compared and nothing is left to follow.
func (w *walk) run(ctx context.Context) error {
	for {
		var err error
		switch due := w.due(); {
		case len(due) > 0:
			err = w.follow(ctx, due)
		case !w.over:
			err = w.compare(ctx)
		case len(w.late) > 0:
			sleep(ctx, time.Until(w.late[0].next))
			err = ctx.Err()
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// compare looks at the next page of keys.
func (w *walk) compare(ctx context.Context) error {
	if err := w.limit.WaitN(ctx, page); err != nil {
		return err
	}
	keys, err := outbox.Page(ctx, w.cfg.DB, w.last, w.cfg.Keys, page)
	if err != nil {
		return err
	}
	w.over = len(keys) < page
	if len(keys) == 0 {
		return nil
	}
	w.last = keys[len(keys)-1].Key
	read := time.Now()
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Key
	}
	entries, err := w.cfg.Cache.GetMany(ctx, names)
	if err != nil {
		return fmt.Errorf("reading entries: %w", err)
	}
	var suspects []late
	for i, e := range entries {
		if e.Hit() {
			w.report.Held++
		}
		if e.Hit() && e.Version != keys[i].Version {
			suspects = append(suspects, late{key: keys[i].Key, version: keys[i].Version, found: read})
		}
	}
	w.report.Keys += int64(len(keys))
	w.progress()
	return w.look(ctx, suspects, func(late) { w.report.Waiting++ })
}

// due takes out those that are to be looked at again, a page at most.
func (w *walk) due() []late {
	now := time.Now()
	n := 0
	for n < len(w.late) && n < page && !w.late[n].next.After(now) {
		n++
	}
	due := slices.Clone(w.late[:n])
	w.late = w.late[n:]
	return due
}

// follow looks again at keys that were late.
func (w *walk) follow(ctx context.Context, due []late) error {
	return w.look(ctx, due, func(l late) { w.report.ByKey[l.missed-1].Late++ })
}

// look reads suspects again, and tells the differences from those that are late, which still hears of.
func (w *walk) look(ctx context.Context, suspects []late, still func(late)) error {
	if len(suspects) == 0 {
		return nil
	}
	keys := make([]string, len(suspects))
	for i, s := range suspects {
		keys[i] = s.key
	}
	before, err := w.cfg.Cache.GetMany(ctx, keys)
	if err != nil {
		return fmt.Errorf("reading entries: %w", err)
	}
	states, err := outbox.Look(ctx, w.cfg.DB, keys)
	if err != nil {
		return err
	}
	after, err := w.cfg.Cache.GetMany(ctx, keys)
	if err != nil {
		return fmt.Errorf("reading entries: %w", err)
	}
	for i, s := range suspects {
		state := states[s.key]
		switch {
		case state.Version == 0: // forgotten meanwhile
		case before[i].Hit() && before[i].Version > state.Version && !state.Waits:
			err = w.differs(ctx, Difference{Key: s.key, Kind: Above, Postgres: state.Version, Cache: before[i].Version}, s.missed)
		case after[i].Hit() && after[i].Version < state.Version && !state.Waits:
			err = w.differs(ctx, Difference{Key: s.key, Kind: Behind, Postgres: state.Version, Cache: after[i].Version}, s.missed)
		case after[i].Hit() && after[i].Version < s.version:
			w.again(s, still)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// again has a key looked at once more when the next window ends.
func (w *walk) again(l late, still func(late)) {
	if l.next.IsZero() {
		l.next = l.found // it has not missed any window yet
	} else {
		l.missed++
	}
	still(l)
	if l.missed == len(w.cfg.windows) {
		return
	}
	l.next = l.found.Add(w.cfg.windows[l.missed])
	at, _ := slices.BinarySearchFunc(w.late, l, func(a, b late) int { return a.next.Compare(b.next) })
	w.late = slices.Insert(w.late, at, l)
}

// differs takes note of a difference, and mends it if that is asked for. It misses all windows that it has not missed yet: nothing else will mend it.
func (w *walk) differs(ctx context.Context, d Difference, missed int) error {
	if w.cfg.Fix {
		if err := w.fix(ctx, d); err != nil {
			return err
		}
		d.Fixed = true
	}
	w.tell(d)
	for i := missed; i < len(w.cfg.windows); i++ {
		w.report.ByKey[i].Late++
	}
	return nil
}

// tell counts and logs a difference.
func (w *walk) tell(d Difference) {
	w.log.Warn("cache_differs", zap.String("key", d.Key), zap.String("how", string(d.Kind)), zap.Int64("postgres", d.Postgres), zap.Int64("cache", d.Cache), zap.Bool("fixed", d.Fixed))
	w.report.Differing++
	w.report.ByKind[d.Kind]++
	if len(w.report.Differences) < differencesMost {
		w.report.Differences = append(w.report.Differences, d)
	}
}

// progress tells how many comparisons were made.
func (w *walk) progress() {
	if w.cfg.Progress != nil {
		w.cfg.Progress(w.report.Keys + w.report.Values)
	}
}

// fix invalidates an entry that is behind, and deletes one that is above: its version says nothing.
func (w *walk) fix(ctx context.Context, d Difference) error {
	if d.Kind == Above {
		return w.cfg.Cache.Drop(ctx, d.Key)
	}
	if r := w.cfg.Cache.Apply(ctx, cache.Change{Key: d.Key, Version: d.Postgres, Kind: cache.Placeholder})[0]; !r.Outcome.Done() {
		return fmt.Errorf("invalidating %s: %w", d.Key, r.Err)
	}
	return nil
}
