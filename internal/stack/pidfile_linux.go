package stack

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// clearPidFile tidies up after a postmaster that did not stop in order. Its System V segment, with which Postgres
// guards a data folder, would stay until the next start there or, when the folder is removed instead, until the machine
// reboots; there are only 4,096 of them. Its postmaster.pid would forbid that next start if the pid had gone to another
// process of the same user by then. Both go once nobody is attached to the segment any more, which is what Postgres
// itself takes for proof that the folder is not in use.
func clearPidFile(path string) error {
	pid, id, err := readPidFile(path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && id == 0) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if !unattached(pid, id) {
		return nil
	}
	if _, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil); err != nil {
		return fmt.Errorf("removing the shared memory of postgres: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing the pid file of postgres: %w", err)
	}
	return nil
}

// unattached waits for the last process to leave a segment. It reports false when the segment is gone, not the work of
// that postmaster, or still in use.
func unattached(creator, id int) bool {
	var seg unix.SysvShmDesc
	var err error
	poll(func() bool {
		_, err = unix.SysvShmCtl(id, unix.IPC_STAT, &seg)
		return err != nil || int(seg.Cpid) != creator || seg.Nattch == 0
	})
	return err == nil && int(seg.Cpid) == creator && seg.Nattch == 0
}

// readPidFile returns what a postmaster.pid says: in its first line the process, in its seventh the key and the id of
// the segment. The id is 0 in the file of a postmaster that did not come that far.
func readPidFile(path string) (pid, id int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	var lines []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		lines = append(lines, strings.TrimSpace(sc.Text()))
	}
	if len(lines) < 7 {
		return 0, 0, nil
	}
	var key int
	if _, err := fmt.Sscan(lines[0], &pid); err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscan(lines[6], &key, &id); err != nil {
		return 0, 0, nil
	}
	return pid, id, nil
}
