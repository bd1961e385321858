// Package stacktest gives tests the real servers that package stack launches: shared ones, started when a test of the
// package first asks for them, and private ones for tests that kill. A test isolates itself on a shared server by a
// database, a key prefix or a stream of its own.
//
// A package that uses it has a TestMain that calls Main and nothing else. When a server is not installed the tests
// fail with the sentence that says what to run; they are never skipped.
package stacktest

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidelock-cache/tidelock/internal/stack"
)

// inMain is set by Main; without it nobody would stop the shared servers.
var inMain atomic.Bool

// Main is the TestMain of a package: it runs the tests, stops the servers that they shared, and fails when a goroutine
// is left.
func Main(m *testing.M) {
	stack.RunChild()
	inMain.Store(true)
	code := m.Run()
	if err := closeShared(); err != nil {
		fmt.Fprintln(os.Stderr, "stacktest: stopping the shared servers:", err)
		code = max(code, 1)
	}
	// Tests that failed may well have left something behind; what they say matters more.
	if code == 0 {
		code = leaks()
	}
	os.Exit(code)
}

// leakTries is how often leaks looks, for a second or so each: some goroutines of valkey-go's sleep on past its Close, for up
// to five seconds.
const leakTries = 8

func leaks() int {
	var err error
	for range leakTries {
		if err = goleak.Find(); err == nil {
			return 0
		}
	}
	fmt.Fprintln(os.Stderr, "stacktest: goroutines are left after the tests:", err)
	return 1
}
