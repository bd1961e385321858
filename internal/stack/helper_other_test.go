//go:build unix && !linux

package stack_test

import (
	"syscall"
	"testing"
)

// alive tells whether a process exists.
func alive(pid int) bool {
	return syscall.Kill(pid, 0) == nil
}

// sharedSegments would count what is not released here.
func sharedSegments(*testing.T, int) int { return 0 }
