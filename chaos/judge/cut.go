package judge

// cutter cuts a key's history into pieces each of which can be ordered by itself.
//
// It cuts at a read during which no write was under way, and whose value every read that overlaps it has returned too. Then what ended
// before that read can be ordered first, and what began after it ended can be ordered last, and between the two the register
// held that value, at which the reads that overlap may stand: they are satisfied, and left out. An unknown delete may be under
// way, before or after.
type cutter struct {
	moves []*move // by begins
	at    int     // where the next piece begins
}

// next returns the next piece, which ends with the read that it was cut at, and what that read has returned.
func (c *cutter) next() (piece []*move, value int64) {
	var open []*move // those that may overlap what comes
	for i := c.at; i < len(c.moves); i++ {
		m := c.moves[i]
		open = overlapping(open, m)
		if m.reads && i-c.at >= pieceUsual && alike(open, m) {
			if after, ok := c.after(i); ok {
				piece = c.before(i)
				c.at = after
				return piece, m.value
			}
		}
		open = append(open, m)
	}
	piece, c.at = c.moves[c.at:], len(c.moves)
	return piece, absent
}

// overlapping drops from open what had ended when m began.
func overlapping(open []*move, m *move) []*move {
	kept := open[:0]
	for _, o := range open {
		if o.end >= m.begin {
			kept = append(kept, o)
		}
	}
	return kept
}

// alike reports whether all of these are reads of the same.
func alike(open []*move, m *move) bool {
	for _, o := range open {
		if !o.reads || o.value != m.value {
			return false
		}
	}
	return true
}

// after is where what begins after the end of a read begins, if all that begins before is alike.
func (c *cutter) after(i int) (int, bool) {
	m := c.moves[i]
	j := i + 1
	for ; j < len(c.moves) && c.moves[j].begin <= m.end; j++ {
		if o := c.moves[j]; !o.reads || o.value != m.value {
			return 0, false
		}
	}
	return j, true
}

// before is the piece of what had ended when a read began, and that read.
func (c *cutter) before(i int) []*move {
	m := c.moves[i]
	var piece []*move
	for _, o := range c.moves[c.at:i] {
		if o.end < m.begin {
			piece = append(piece, o)
		}
	}
	return append(piece, m)
}
