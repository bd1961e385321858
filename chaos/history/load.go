package history

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

const (
	// lineMax bounds a line: an operation's is some two hundred bytes.
	lineMax = 1 << 20
	// lineUsual is what most lines exceed; it tells how many operations to expect of a file.
	lineUsual = 128
)

// Load reads the operations of all processes from a run's folder, in the order in which they began. A write that began and has not returned
// is Unknown, with End 0. The last line of a file may be torn: whoever wrote it was killed.
func Load(dir string) ([]Op, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+opsSuffix))
	if err != nil {
		return nil, fmt.Errorf("looking for histories: %w", err)
	}
	l := loader{decoder: decoder{texts: make(map[string]string)}}
	if l.ops, err = room(names); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := l.load(name); err != nil {
			return nil, fmt.Errorf("reading %s: %w", filepath.Base(name), err)
		}
	}
	slices.SortFunc(l.ops, order)
	return l.ops, nil
}

// order is that of the beginnings. The operations of one transaction, which begin together, go by their IDs.
func order(a, b Op) int {
	if a.Begin != b.Begin {
		return cmp.Compare(a.Begin, b.Begin)
	}
	return cmp.Or(cmp.Compare(a.Process, b.Process), cmp.Compare(a.Client, b.Client), cmp.Compare(a.ID, b.ID))
}

// room is an empty slice with room for the operations of these files.
func room(names []string) ([]Op, error) {
	var size int64
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("looking for histories: %w", err)
		}
		size += info.Size()
	}
	return make([]Op, 0, size/lineUsual), nil
}

type loader struct {
	decoder
	op      Op // of the line at hand
	ops     []Op
	pending map[int64]int // the writes of this file that have not returned, by ID: where they stand in ops
}

func (l *loader) load(name string) error {
	l.pending = make(map[int64]int)
	return eachLine(name, func(line []byte) error {
		if err := l.decode(line, &l.op); err != nil {
			return err
		}
		return l.add(l.op)
	})
}

// add joins the two lines of a write.
func (l *loader) add(op Op) error {
	at, begun := l.pending[op.ID]
	switch {
	case op.Kind == Read:
		l.ops = append(l.ops, op)
	case op.End == 0 && begun:
		return fmt.Errorf("write %d begins twice", op.ID)
	case op.End == 0:
		l.pending[op.ID] = len(l.ops)
		l.ops = append(l.ops, op)
	case !begun:
		return fmt.Errorf("write %d returns and did not begin", op.ID)
	default:
		l.ops[at] = op
		delete(l.pending, op.ID)
	}
	return nil
}

// eachLine calls do for every whole line of a file. What stands after the last newline is a line that was torn.
func eachLine(name string, do func(line []byte) error) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, lineMax)
	for n := 1; ; n++ {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(line[:len(line)-1])
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
}
