package judge

import (
	"fmt"

	"github.com/anishathalye/porcupine"
	"github.com/tidelock-cache/tidelock/chaos/history"
)

// move is an operation as the register sees it.
type move struct {
	*history.Op
	value      int64 // what it writes or has read: the op's ID, absent for no row
	begin, end int64 // within these it takes effect; never for an unknown write that may not have
	reads      bool
}

const (
	// absent is the value of a register without a row.
	absent = 0
	// anything is the value of one that was written before the history at hand: the first read says what it was.
	anything = -1
)

// register is one key. Its states are moves, those that wrote what it holds: pointers go into an interface without being copied.
func register(start int64) porcupine.Model {
	first := &move{value: start}
	return porcupine.Model{
		Init: func() any { return first },
		Step: func(state, input, _ any) (bool, any) {
			m, holds := input.(*move), state.(*move).value
			switch {
			case !m.reads:
				return true, m
			case holds == anything:
				return true, m
			}
			return holds == m.value, state
		},
		Equal: func(a, b any) bool { return a.(*move).value == b.(*move).value },
		Hash:  func(state any) uint64 { return uint64(state.(*move).value) * 0x9e3779b97f4a7c15 },
		DescribeOperation: func(input, _ any) string {
			return input.(*move).String()
		},
		DescribeState: func(state any) string { return holding(state.(*move).value) },
	}
}

// String is what a picture shows of it.
func (m *move) String() string {
	switch {
	case m.Kind == history.Delete:
		return fmt.Sprintf("delete (op %d)", m.ID)
	case !m.reads:
		return fmt.Sprintf("write op %d", m.ID)
	case m.Hit:
		return "hit " + holding(m.value)
	}
	return "read " + holding(m.value)
}

func holding(value int64) string {
	switch value {
	case anything:
		return "anything"
	case absent:
		return "no row"
	}
	return fmt.Sprintf("op %d", value)
}

func operations(moves []*move) []porcupine.Operation {
	ops := make([]porcupine.Operation, len(moves))
	for i, m := range moves {
		ops[i] = porcupine.Operation{Input: m, Call: m.begin, Return: m.end}
	}
	return ops
}

func writing(w *write) *move {
	m := &move{Op: w.Op, value: w.ID, begin: w.Begin, end: w.end()}
	if w.deletes() {
		m.value = absent
	}
	return m
}

func reading(r *read) *move {
	m := &move{Op: r.Op, value: r.ID, begin: r.Begin, end: r.end(), reads: true}
	if r.of != nil && r.of.deletes() {
		m.value = absent
	}
	return m
}
