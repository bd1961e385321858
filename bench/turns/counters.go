package turns

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// counters are readings that only grow.
type counters struct {
	mallocs    uint64
	all        int64         // ticks that the machine's processors had
	busy       int64         // of those, how many were not idle
	ours       map[int]usage // of those, how many were this program's and its servers', by process
	fromKernel bool
}

// readCounters reads what the machine and the processes of a family have used.
func readCounters(family []int) counters {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c := counters{mallocs: m.Mallocs, ours: make(map[int]usage, len(family))}
	c.all, c.busy, c.fromKernel = machineTicks()
	for _, pid := range family {
		if _, used, ok := readStat(fmt.Sprintf("/proc/%d/stat", pid)); ok {
			c.ours[pid] = used
		}
	}
	return c
}

// foreign returns the share of the machine between two readings that went to processes other than ours. It is 0 where /proc does not tell.
func foreign(a, b counters) float64 {
	all := b.all - a.all
	if !a.fromKernel || !b.fromKernel || all <= 0 {
		return 0
	}
	var ours int64
	for pid, used := range b.ours {
		ours += used.ticks - a.ours[pid].ticks
	}
	return max(0, float64(b.busy-a.busy-ours)/float64(all))
}

// machineTicks reads the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal.
func machineTicks() (all, busy int64, ok bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, false
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return 0, 0, false
	}
	for i, field := range fields[1:9] {
		n, _ := strconv.ParseInt(field, 10, 64)
		all += n
		if i != 3 && i != 4 {
			busy += n
		}
	}
	return all, busy, true
}

// usage is the processor time of a process.
type usage struct {
	program string
	parent  int
	ticks   int64
}

// tickTime is what Linux counts processor time in, as /proc shows it.
const tickTime = 10 * time.Millisecond

// spent returns the processor time between two readings, in microseconds, by program: this one and its children of the same name count as one.
func spent(a, b counters) map[string]float64 {
	by := make(map[string]float64)
	for pid, used := range b.ours {
		by[used.program] += float64((used.ticks-a.ours[pid].ticks)*int64(tickTime)) / float64(time.Microsecond)
	}
	return by
}

// family returns root and all its descendants. It looks at every process of the machine, so it is called outside of what is measured.
func family(root int) []int {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	all := make(map[int]usage, len(paths))
	for _, path := range paths {
		if pid, used, ok := readStat(path); ok {
			all[pid] = used
		}
	}
	var ours []int
	for pid := range all {
		if descends(pid, root, all) {
			ours = append(ours, pid)
		}
	}
	return ours
}

func descends(pid, root int, all map[int]usage) bool {
	for range len(all) {
		if pid == root {
			return true
		}
		used, known := all[pid]
		if !known {
			return false
		}
		pid = used.parent
	}
	return false
}

// readStat reads /proc/PID/stat; its second field is a name in parentheses that may hold anything.
func readStat(path string) (pid int, used usage, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, usage{}, false
	}
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return 0, usage{}, false
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 13 {
		return 0, usage{}, false
	}
	pid, _ = strconv.Atoi(strings.TrimSpace(string(text[:open])))
	used.program = string(text[open+1 : end])
	used.parent, _ = strconv.Atoi(fields[1])
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	used.ticks = user + system
	return pid, used, true
}

// Reading is the machine's use at a moment.
type Reading struct{ at counters }

// Others reads the machine's use, to learn what others have used of it Until another reading.
func Others() Reading { return Reading{readCounters(family(os.Getpid()))} }

// Until returns the share of the machine that went to others between two readings.
func (r Reading) Until(later Reading) float64 { return foreign(r.at, later.at) }

// Spent returns the processor time between two readings, in microseconds, by program.
func (r Reading) Spent(later Reading) map[string]float64 { return spent(r.at, later.at) }

// Idle returns the processor time that this program and its servers use while there is no work, in microseconds a second, by program.
func Idle(ctx context.Context, d time.Duration) (map[string]float64, error) {
	ours := family(os.Getpid())
	a := readCounters(ours)
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(d):
	}
	by := spent(a, readCounters(ours))
	for program := range by {
		by[program] /= d.Seconds()
	}
	return by, nil
}
