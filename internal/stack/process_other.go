//go:build unix && !linux

package stack

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// bindToUs does nothing: no system call here binds a child to its parent's life. When the launcher is killed with
// SIGKILL its servers stay.
func bindToUs(*syscall.SysProcAttr) {}

// relative is a process of ours or a child of one.
type relative struct {
	pid int
}

func identify(pid int) relative {
	return relative{pid: pid}
}

func (r relative) alive() bool {
	state := processState(r.pid)
	return state != "" && !strings.HasPrefix(state, "Z")
}

func stopped(pid int) bool {
	state := processState(pid)
	return state == "" || strings.ContainsAny(state[:1], "TZ")
}

// processState returns what ps calls the state, empty when there is no such process.
func processState(pid int) string {
	out, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// childrenOf lists the direct children of a process.
func childrenOf(pid int) ([]relative, error) {
	out, err := exec.Command("pgrep", "-P", strconv.Itoa(pid)).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return nil, nil // pgrep's way to say that there are none
	}
	if err != nil {
		return nil, fmt.Errorf("listing the children of pid %d: %w", pid, err)
	}
	var children []relative
	for field := range strings.FieldsSeq(string(out)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("reading pgrep's answer: %w", err)
		}
		children = append(children, relative{pid: child})
	}
	return children, nil
}
