package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/valkey-io/valkey-go"
)

// rdbName is where the driver tells Valkey to put its snapshot.
const rdbName = "dump.rdb"

var (
	errNoAOF  = errors.New("there is no append-only file")
	errNoName = errors.New("the name of a copy must be that of a file, without a folder")
	errCut    = errors.New("the number of bytes must not be negative")
)

// Save writes a snapshot of the data, which the next start loads unless the server keeps an append-only file.
func (v *Valkey) Save(ctx context.Context) error {
	err := v.within(ctx, dataTimeout, func(ctx context.Context, c valkey.Client) error {
		return c.Do(ctx, c.B().Save().Build()).Error()
	})
	if err != nil {
		return fmt.Errorf("saving the data of %s: %w", v.Addr(), err)
	}
	return nil
}

// KeepRDB puts a copy of the snapshot that was saved last aside under a name. The server may run, for it replaces its
// snapshot in one step. Wipe leaves the copy.
func (v *Valkey) KeepRDB(name string) error {
	aside, err := v.aside(name)
	if err == nil {
		err = copyFile(aside, v.rdb())
	}
	if err != nil {
		return fmt.Errorf("keeping the snapshot of %s: %w", v.name, err)
	}
	return nil
}

// RestoreRDB puts a copy that KeepRDB has made back in the place of the snapshot, so that the next start loads old data.
// It needs a server that is stopped.
func (v *Valkey) RestoreRDB(name string) error {
	return v.whileStopped("restoring a snapshot of", func() error {
		aside, err := v.aside(name)
		if err != nil {
			return err
		}
		if err := v.drv.prepare(context.Background()); err != nil { // it may have been wiped
			return err
		}
		return copyFile(v.rdb(), aside)
	})
}

// CutAOF takes so many bytes, or all that there are, from the end of the append-only file, as a machine that loses its
// power does with what was not synced. Half a command at the end is dropped by Valkey at its next start. It needs a server that is
// stopped.
func (v *Valkey) CutAOF(bytes int64) error {
	return v.whileStopped("cutting the append-only file of", func() error {
		if bytes < 0 {
			return errCut
		}
		path, err := v.aof()
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, max(0, info.Size()-bytes))
	})
}

func (v *Valkey) rdb() string {
	return filepath.Join(v.dir.data(), rdbName)
}

// aside is where a copy of the snapshot goes.
func (v *Valkey) aside(name string) (string, error) {
	if name == "" || name != filepath.Base(name) {
		return "", errNoName
	}
	return filepath.Join(v.dir.path, "kept-"+name+".rdb"), nil
}

var aofPattern = regexp.MustCompile(`\.(\d+)\.incr\.aof$`)

// aof is the file that commands are appended to: the last of those that there are while an older one is rewritten.
func (v *Valkey) aof() (string, error) {
	paths, err := filepath.Glob(filepath.Join(v.dir.data(), "appendonlydir", "*.incr.aof"))
	if err != nil {
		return "", err
	}
	if len(paths) == 0 {
		return "", fmt.Errorf("%w: %w", errNoAOF, fs.ErrNotExist)
	}
	number := func(path string) int {
		m := aofPattern.FindStringSubmatch(path)
		if m == nil {
			return 0
		}
		n, _ := strconv.Atoi(m[1]) // digits
		return n
	}
	return slices.MaxFunc(paths, func(a, b string) int { return cmp.Compare(number(a), number(b)) }), nil
}

// copyFile replaces a file by a copy of another one, in one step.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	fresh := to + ".new"
	out, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Rename(fresh, to)
}
