package turns

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

func TestFamily(t *testing.T) {
	if _, _, ok := machineTicks(); !ok {
		t.Skip("this system has no /proc/stat")
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	ours := family(os.Getpid())
	if !slices.Contains(ours, os.Getpid()) || !slices.Contains(ours, cmd.Process.Pid) {
		t.Errorf("the family %v lacks this process %d or its child %d", ours, os.Getpid(), cmd.Process.Pid)
	}
	if slices.Contains(ours, os.Getppid()) {
		t.Errorf("the family %v has this process's parent %d", ours, os.Getppid())
	}
}

func TestForeign(t *testing.T) {
	a := counters{fromKernel: true, all: 1000, busy: 500, ours: map[int]usage{1: {program: "bench", ticks: 10}}}
	b := counters{fromKernel: true, all: 1200, busy: 650, ours: map[int]usage{1: {program: "bench", ticks: 60}, 2: {program: "postgres", ticks: 20}}}
	if got, want := foreign(a, b), 0.4; got != want { // 150 busy ticks, of which 70 ours, of 200
		t.Errorf("others used %v, want %v", got, want)
	}
	by := spent(a, b)
	if by["bench"] != 500_000 || by["postgres"] != 200_000 {
		t.Errorf("the processor times are %v", by)
	}
}
