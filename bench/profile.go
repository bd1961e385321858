package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"

	"github.com/tidelock-cache/tidelock/bench/turns"
)

// profiler returns what writes a CPU profile of each turn, nil when none is wanted. `go tool pprof` takes those of several turns together.
func (b *bench) profiler(cell turns.Cell) func(subject string) (after func() error, err error) {
	if b.cfg.Profile == "" {
		return nil
	}
	n := 0
	return func(subject string) (func() error, error) {
		if err := os.MkdirAll(b.cfg.Profile, 0o755); err != nil {
			return nil, err
		}
		n++
		f, err := os.Create(filepath.Join(b.cfg.Profile, fmt.Sprintf("%s.%v.%d.pprof", slug(subject), cell, n)))
		if err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return func() error {
			pprof.StopCPUProfile()
			return f.Close()
		}, nil
	}
}
