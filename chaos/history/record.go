package history

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

const (
	opsSuffix  = ".ops.jsonl"
	eventsName = "events.jsonl"
)

// Recorder appends the operations of one process to a file in the run's folder. What it has recorded is in the kernel's hands, so a
// process that is killed loses nothing of it. It is safe for any number of goroutines.
type Recorder struct {
	file *os.File
}

// NewRecorder makes the file of a process. Each life of a process has one of its own, named by its pid.
func NewRecorder(dir, process string) (*Recorder, error) {
	name := filepath.Join(dir, process+"-"+strconv.Itoa(os.Getpid())+opsSuffix)
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("making a history: %w", err)
	}
	return &Recorder{file: file}, nil
}

// Begin records that writes begin: call it before anything is sent, for whoever is killed afterwards must not have written something that
// no history knows of. All of one transaction go in one call.
func (r *Recorder) Begin(ops ...Op) error {
	return r.append(ops, func(op Op) Op {
		op.End, op.Outcome = 0, Unknown
		return op
	})
}

// Return records operations that have returned: writes that were begun, and reads.
func (r *Recorder) Return(ops ...Op) error {
	return r.append(ops, func(op Op) Op { return op })
}

// lines are the buffers of lines on their way to a file.
var lines = sync.Pool{New: func() any { return new([]byte) }}

// append writes one line an operation, all with one write(2), which the kernel does not mix with another's.
func (r *Recorder) append(ops []Op, as func(Op) Op) error {
	line := lines.Get().(*[]byte)
	defer lines.Put(line)
	*line = (*line)[:0]
	for _, op := range ops {
		*line = append(appendOp(*line, as(op)), '\n')
	}
	if _, err := r.file.Write(*line); err != nil {
		return fmt.Errorf("recording operations: %w", err)
	}
	return nil
}

// Close closes the file.
func (r *Recorder) Close() error {
	if err := r.file.Close(); err != nil {
		return fmt.Errorf("closing a history: %w", err)
	}
	return nil
}
