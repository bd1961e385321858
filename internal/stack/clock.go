package stack

import (
	"context"
	_ "embed" // for the source of the shim
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// compileTimeout bounds the making of the shim, which takes a moment.
const compileTimeout = 30 * time.Second

var errNoClock = errors.New("a clock that can be moved needs Linux")

// clockSource is a library that servers are started with. It tells them a time of day that is off by what stands in a
// file.
//
//go:embed shim/clock.c
var clockSource string

// Clock is a time of day that can be moved, for the servers that are started with it: their gettimeofday and what is
// like it. Monotonic clocks go on untouched. Its methods may be called from several goroutines.
type Clock struct {
	dir folder

	mu     sync.Mutex
	offset time.Duration // guarded by mu
}

// NewClock makes a clock that shows the right time. It keeps its files in dir, which the servers must be able to reach; an
// empty dir means a fresh temporary one that Close removes. It needs a C compiler.
func NewClock(dir string) (*Clock, error) {
	if runtime.GOOS != "linux" {
		return nil, errNoClock
	}
	compiler, err := findCompiler(exec.LookPath)
	if err != nil {
		return nil, err
	}
	f, err := openFolder(dir, "clock")
	if err != nil {
		return nil, err
	}
	c := &Clock{dir: f}
	if err := errors.Join(c.compile(compiler), c.Jump(0)); err != nil {
		return nil, errors.Join(fmt.Errorf("making a clock: %w", err), f.remove())
	}
	return c, nil
}

// Jump moves the clock, forward or back, from where it is now. Servers see it from their next look at the clock on.
func (c *Clock) Jump(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.write(c.offset + d); err != nil {
		return fmt.Errorf("moving the clock: %w", err)
	}
	c.offset += d
	return nil
}

// Offset is how far the clock is ahead of the right time.
func (c *Clock) Offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset
}

// Close removes the clock's files. The servers that have it must not be started again.
func (c *Clock) Close() error {
	return c.dir.remove()
}

// write replaces the offset where it stands, for the servers have the file in their memory.
func (c *Clock) write(offset time.Duration) error {
	f, err := os.OpenFile(c.file(), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(offset)), 0)
	return errors.Join(err, f.Chmod(0o644), f.Close()) // whatever the umask is: servers run as somebody else
}

func (c *Clock) compile(compiler string) error {
	ctx, cancel := context.WithTimeout(context.Background(), compileTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, compiler, "-shared", "-fPIC", "-O2", "-o", c.lib(), "-x", "c", "-", "-ldl")
	cmd.Stdin = strings.NewReader(clockSource)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling its library: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return os.Chmod(c.lib(), 0o755)
}

// env is the environment of a server that reads this clock, given that of any other. A nil clock is the system's own.
func (c *Clock) env(environ []string) []string {
	if c == nil {
		return environ
	}
	return append(environ, "LD_PRELOAD="+c.lib(), "TIDELOCK_CLOCK="+c.file())
}

// check tells whether servers of an account can reach the clock: the loader goes on without a library that it cannot open.
func (c *Clock) check(a *account) error {
	if c == nil || a == nil {
		return nil
	}
	return a.checkParents(c.lib())
}

func (c *Clock) file() string {
	return filepath.Join(c.dir.path, "offset")
}

func (c *Clock) lib() string {
	return filepath.Join(c.dir.path, "clock.so")
}

func findCompiler(lookPath func(string) (string, error)) (string, error) {
	for _, name := range []string{"cc", "gcc", "clang"} {
		if path, err := lookPath(name); err == nil {
			return path, nil
		}
	}
	return "", &MissingError{Program: "cc", Package: "gcc libc6-dev"}
}
