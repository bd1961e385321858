package judge

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/tidelock-cache/tidelock/chaos/history"
)

const (
	// around is what a picture shows before and after a violation, unless these are more than aroundMax operations.
	around    = 2 * time.Second
	aroundMax = 500
	// pictureTime bounds the search for an order of them.
	pictureTime = 2 * time.Second
)

// ErrNothingToDraw says that a key has no operation that could have taken effect.
var ErrNothingToDraw = errors.New("there is nothing to draw")

// Picture draws what happened to a key around its first violation that names operations, or else in the end, as an HTML page. The reads of
// all levels are in it, also of those that promise no order. It returns ErrNothingToDraw for a key that was left alone, or whose operations have failed.
func Picture(run Run, key, path string) error {
	run.Ops = slices.DeleteFunc(slices.Clone(run.Ops), func(op history.Op) bool { return op.Key != key })
	run.Finals = slices.DeleteFunc(slices.Clone(run.Finals), func(f Final) bool { return f.Key != key })
	if len(run.Ops) == 0 {
		return fmt.Errorf("drawing %q: %w", key, ErrNothingToDraw)
	}
	t := newTrial(run)
	k := open(t, &t.keys[0], newRecorder())
	shown, last := k.window(k.scene())
	if len(shown) == 0 {
		return fmt.Errorf("drawing %q: %w", key, ErrNothingToDraw)
	}
	model := register(anything)
	if shown[0].begin == t.start {
		model = register(absent)
	}
	_, info := porcupine.CheckOperationsVerbose(model, drawn(shown, last), pictureTime)
	info.AddAnnotations(faults(run.Events, shown[0].begin, last))
	if err := porcupine.VisualizePath(model, info, path); err != nil {
		return fmt.Errorf("drawing %q: %w", key, err)
	}
	return nil
}

// scene is the begin of the last operation that the first violation names, or of the last of all.
func (k *key) scene() int64 {
	k.judge()
	var scene int64
	for _, rule := range rules {
		for _, f := range k.found[rule] {
			for _, op := range f.Ops {
				scene = max(scene, op.Begin)
			}
			if f.Ops != nil {
				return scene
			}
		}
	}
	for _, w := range k.writes {
		scene = max(scene, w.Begin)
	}
	for _, r := range k.reads {
		scene = max(scene, r.Begin)
	}
	return scene
}

// window returns the moves around an instant, and the last instant among them.
func (k *key) window(scene int64) (shown []*move, last int64) {
	for _, r := range k.reads {
		shown = append(shown, reading(r))
	}
	for _, w := range k.writes {
		shown = append(shown, writing(w))
	}
	distance := func(m *move) int64 { return max(m.begin-scene, scene-m.begin) }
	slices.SortStableFunc(shown, func(a, b *move) int { return cmp.Compare(distance(a), distance(b)) })
	shown = shown[:min(len(shown), aroundMax)]
	shown = slices.DeleteFunc(shown, func(m *move) bool { return distance(m) > int64(around) })
	slices.SortStableFunc(shown, func(a, b *move) int { return cmp.Compare(a.begin, b.begin) })
	for _, m := range shown {
		if last = max(last, m.begin); m.end != never {
			last = max(last, m.end)
		}
	}
	return shown, last
}

// drawn are the moves with their clients. What never ended ends after all others.
func drawn(shown []*move, last int64) []porcupine.Operation {
	ops := operations(shown)
	clients := make(map[client]int)
	for i, m := range shown {
		c := client{m.Process, m.Client}
		if _, known := clients[c]; !known {
			clients[c] = len(clients)
		}
		ops[i].ClientId = clients[c]
		ops[i].Return = min(m.end, last+1)
		ops[i].Metadata = tell{m.Op, shown[0].begin}.String()
	}
	return ops
}

// faults are the events within a time.
func faults(events []history.Event, from, to int64) []porcupine.Annotation {
	var notes []porcupine.Annotation
	for _, e := range events {
		if e.At < from || e.At > to {
			continue
		}
		text := e.Name
		if !e.Begin {
			text += " ends"
		}
		notes = append(notes, porcupine.Annotation{Tag: "faults", Start: e.At, Description: text})
	}
	return notes
}
