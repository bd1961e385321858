package stack_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// alive tells whether a process exists and has not ended: a zombie that nobody reaps counts as ended.
func alive(pid int) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return false
	}
	_, after, _ := strings.Cut(string(data), ") ")
	return !strings.HasPrefix(after, "Z")
}

// sharedSegments counts the segments of System V shared memory that a process has made; proc_sysvipc(5) has the
// creator in the fifth column.
func sharedSegments(t *testing.T, pid int) (n int) {
	t.Helper()
	data, err := os.ReadFile("/proc/sysvipc/shm")
	must(t, err)
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == strconv.Itoa(pid) {
			n++
		}
	}
	return n
}
