package stack

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// bindToUs makes a child die with us. It counts only for children that a locked thread starts and waits for.
func bindToUs(attr *syscall.SysProcAttr) {
	attr.Pdeathsig = syscall.SIGKILL
}

// relative is a process of ours or a child of one; the start time tells it from a later process with the same pid.
type relative struct {
	pid   int
	start string
}

// identify describes a process that we have started and not reaped.
func identify(pid int) relative {
	st, err := readStat(pid)
	if err != nil {
		return relative{pid: pid} // no start time: never taken for alive
	}
	return relative{pid: pid, start: st.start}
}

func (r relative) alive() bool {
	st, err := readStat(r.pid)
	return err == nil && st.start == r.start && st.state != 'Z' && st.state != 'X'
}

func stopped(pid int) bool {
	st, err := readStat(pid)
	return err != nil || st.state == 'T' || st.state == 'Z' || st.state == 'X'
}

// childrenOf lists the direct children of a process.
func childrenOf(pid int) ([]relative, error) {
	names, err := procNames()
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var children []relative
	for _, name := range names {
		child, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// A process that ends while we look is no longer of interest.
		if st, err := readStat(child); err == nil && st.ppid == pid {
			children = append(children, relative{pid: child, start: st.start})
		}
	}
	return children, nil
}

func procNames() ([]string, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	return proc.Readdirnames(-1)
}

type procStat struct {
	state byte
	ppid  int
	start string
}

// readStat reads /proc/PID/stat, see proc_pid_stat(5). The command in parentheses may hold anything, so fields are
// counted after the last one that closes.
func readStat(pid int) (procStat, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, err
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 {
		return procStat{}, fmt.Errorf("reading the state of pid %d: %d fields", pid, len(fields))
	}
	ppid, err := strconv.Atoi(string(fields[1]))
	return procStat{state: fields[0][0], ppid: ppid, start: string(fields[19])}, err
}
