package judge

import (
	"cmp"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/tidelock-cache/tidelock/chaos/history"
)

const (
	// searchTime and searchTimeEach, for each operation, bound porcupine's work on a run, pieceTime that on one piece of a key's history.
	searchTime     = 30 * time.Second
	searchTimeEach = 20 * time.Microsecond
	pieceTime      = time.Second
	// pieceUsual is how long a piece should be, pieceMax how long it may be: the cost rises with its square.
	pieceUsual, pieceMax = 200, 4000
)

// searchOrder lets porcupine look for an order of the key's operations, those of promising levels. It goes by who saw which write and knows
// nothing of N, so it judges independently of checkLinear.
//
// A history is cut into pieces at reads: see cutter. What is in a piece that is still too long is not searched, but counted.
func (k *key) searchOrder() {
	moves, loose := k.moves()
	if moves == nil {
		return
	}
	c := cutter{moves: moves}
	start := int64(absent)
	for {
		piece, next := c.next()
		if len(piece) == 0 {
			return
		}
		k.searchPiece(start, piece, loose)
		start = next
	}
}

// moves are what porcupine gets: reads, the acknowledged writes, and those unknown ones that such a read has seen, by then. The other unknown
// writes change nothing: what nobody saw may as well never have been. Only a delete is seen by nobody in particular; those are
// returned apart.
func (k *key) moves() (moves, loose []*move) {
	seen := make(map[*write]int64) // the unknown ones, with the end of the first read
	for _, r := range k.reads {
		if !k.linear[r.Level] {
			continue
		}
		moves = append(moves, reading(r))
		if w := r.of; w != nil && w.Outcome != history.OK {
			if end, twice := seen[w]; !twice || r.end() < end {
				seen[w] = r.end()
			}
		}
	}
	if moves == nil {
		return nil, nil
	}
	for _, w := range k.writes {
		m := writing(w)
		if end, ok := seen[w]; ok {
			m.end = max(end, m.begin)
		}
		switch {
		case m.end != never:
			moves = append(moves, m)
		case w.deletes():
			loose = append(loose, m)
		}
	}
	slices.SortFunc(moves, func(a, b *move) int { return cmp.Compare(a.begin, b.begin) })
	return moves, loose
}

// searchPiece looks for an order of a piece that begins with a value. It tries without unknown deletes first. A delete may then explain
// something in several pieces, although it happened once: that is for checkLinear to see.
func (k *key) searchPiece(start int64, piece, loose []*move) {
	result := k.try(start, piece)
	if result == porcupine.Illegal {
		if more := useful(piece, loose); len(more) > 0 {
			piece = slices.Concat(more, piece)
			result = k.try(start, piece)
		}
	}
	switch result {
	case porcupine.Unknown:
		k.counts.Unsearched += int64(len(piece))
		return
	case porcupine.Illegal:
		k.explain(start, piece)
	}
	k.counts.Searched += int64(len(piece))
}

func (k *key) try(start int64, piece []*move) porcupine.CheckResult {
	left := min(time.Until(k.search), pieceTime)
	if len(piece) > pieceMax || left <= 0 {
		return porcupine.Unknown
	}
	return porcupine.CheckOperationsTimeout(register(start), operations(piece), left)
}

// useful are as many of the deletes as the piece has reads to explain. Of two deletes the one that began earlier explains all that the other
// one does.
func useful(piece, loose []*move) []*move {
	var reads int
	var last int64
	for _, m := range piece {
		if m.reads && m.value == absent {
			reads++
			last = max(last, m.end)
		}
	}
	begun, _ := slices.BinarySearchFunc(loose, last, func(m *move, instant int64) int {
		if m.begin <= instant {
			return -1
		}
		return 1
	})
	return loose[:min(begun, reads)]
}

// explain records a piece for which there is no order. It names the operation that ended first of those that did not fit.
func (k *key) explain(start int64, piece []*move) {
	const text = "porcupine finds no order of %d operations"
	if k.full(NotLinear) {
		k.violated(NotLinear, nil, text)
		return
	}
	_, info := porcupine.CheckOperationsVerbose(register(start), operations(piece), pieceTime)
	var longest []porcupine.Operation
	for _, partial := range info.PartialLinearizationsOperations()[0] {
		if len(partial) > len(longest) {
			longest = partial
		}
	}
	fits := make(map[*move]bool)
	for _, op := range longest {
		fits[op.Input.(*move)] = true
	}
	var odd *move
	for _, m := range piece {
		if !fits[m] && (odd == nil || m.end < odd.end) {
			odd = m
		}
	}
	if odd == nil {
		k.violated(NotLinear, nil, text, len(piece))
		return
	}
	k.violated(NotLinear, []*history.Op{odd.Op}, "%v does not fit: "+text, len(piece))
}
