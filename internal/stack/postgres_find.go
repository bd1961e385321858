package stack

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// minPostgres is the oldest major version that serves.
const minPostgres = 15

// postgresBin is where the programs of one installation are.
type postgresBin struct {
	postgres, initdb, basebackup string
	major                        int
	version                      string
}

// Program is the path of another program of the installation that the server is of, such as pgbench. It may not be there.
func (p *Postgres) Program(name string) string {
	return filepath.Join(filepath.Dir(p.drv.bin.postgres), name)
}

// postgresFinder looks for an installation: first on PATH, then where packages put it without putting it on PATH.
type postgresFinder struct {
	lookPath func(string) (string, error)
	globs    []string
}

func systemPostgres() postgresFinder {
	return postgresFinder{lookPath: exec.LookPath, globs: []string{
		"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                   // the project's own RPMs
		"/opt/homebrew/opt/postgresql@*/bin", // Homebrew on ARM
		"/usr/local/opt/postgresql@*/bin",    // Homebrew on Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
	}}
}

// find returns the installation on PATH, else the newest of the others.
func (f postgresFinder) find(ctx context.Context) (postgresBin, error) {
	var old string
	for _, bin := range append(f.onPath(ctx), f.elsewhere(ctx)...) {
		if bin.major >= minPostgres {
			return bin, nil
		}
		old = cmp.Or(old, bin.version)
	}
	if err := ctx.Err(); err != nil {
		return postgresBin{}, fmt.Errorf("looking for postgres: %w", err)
	}
	return postgresBin{}, &MissingError{Program: "postgres", Found: old, Need: minPostgres, Package: "postgresql"}
}

func (f postgresFinder) onPath(ctx context.Context) []postgresBin {
	path, err := f.lookPath("postgres")
	if err != nil {
		return nil
	}
	bin, ok := inspect(ctx, path)
	if !ok {
		return nil
	}
	return []postgresBin{bin}
}

// elsewhere lists the installations that are not on PATH, newest first.
func (f postgresFinder) elsewhere(ctx context.Context) []postgresBin {
	var bins []postgresBin
	for _, glob := range f.globs {
		dirs, _ := filepath.Glob(glob) // the patterns are constants, and well formed
		for _, dir := range dirs {
			if bin, ok := inspect(ctx, filepath.Join(dir, "postgres")); ok {
				bins = append(bins, bin)
			}
		}
	}
	slices.SortStableFunc(bins, func(a, b postgresBin) int { return cmp.Compare(b.major, a.major) })
	return bins
}

// inspect tells whether a file is a postgres of a known version with an initdb beside it. On PATH it may be a link to
// an installation whose other programs are not on PATH.
func inspect(ctx context.Context, path string) (postgresBin, bool) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	initdb := filepath.Join(filepath.Dir(path), "initdb")
	if _, err := os.Stat(initdb); err != nil {
		return postgresBin{}, false
	}
	major, version, err := programVersion(ctx, path)
	if err != nil {
		return postgresBin{}, false
	}
	return postgresBin{postgres: path, initdb: initdb, basebackup: filepath.Join(filepath.Dir(path), "pg_basebackup"),
		major: major, version: version}, true
}
