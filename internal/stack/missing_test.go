package stack

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestMissingPrograms(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, valkeyErr := StartValkey(t.Context(), ValkeyConfig{})
	_, postgresErr := postgresFinder{lookPath: exec.LookPath}.find(t.Context())
	for want, err := range map[string]error{
		`valkey-server not found: run "make deps" (Debian: apt-get install -t bookworm-backports valkey-server)`: valkeyErr,
		`postgres not found: run "make deps" (Debian: apt-get install postgresql)`:                               postgresErr,
	} {
		if err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
		if _, ok := errors.AsType[*MissingError](err); !ok {
			t.Errorf("the error is a %T", err)
		}
	}
}

func TestOldValkey(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	fakeProgram(t, filepath.Join(dir, "valkey-server"), "Valkey server v=7.2.5 sha=00000000:0 malloc=libc bits=64")
	_, err := StartValkey(t.Context(), ValkeyConfig{})
	const want = `valkey-server 7.2.5 is too old, version 8 or newer is needed: run "make deps" ` +
		`(Debian: apt-get install -t bookworm-backports valkey-server)`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestPostgresFinder(t *testing.T) {
	root := t.TempDir()
	for _, version := range []string{"13.4", "16.9", "15.2"} {
		fakePostgres(t, filepath.Join(root, version, "bin"), version)
	}
	nowhere := func(string) (string, error) { return "", exec.ErrNotFound }
	at := func(version string) func(string) (string, error) {
		return func(string) (string, error) { return filepath.Join(root, version, "bin", "postgres"), nil }
	}
	for name, c := range map[string]struct {
		finder postgresFinder
		want   string // a version, or the one found of a *MissingError
		err    bool
	}{
		"newest elsewhere":      {postgresFinder{nowhere, []string{root + "/*/bin"}}, "16.9", false},
		"PATH first":            {postgresFinder{at("15.2"), []string{root + "/*/bin"}}, "15.2", false},
		"PATH too old":          {postgresFinder{at("13.4"), []string{root + "/*/bin"}}, "16.9", false},
		"nothing but old":       {postgresFinder{nowhere, []string{root + "/13*/bin"}}, "13.4", true},
		"only a broken program": {postgresFinder{at("99"), nil}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			bin, err := c.finder.find(t.Context())
			missing, _ := errors.AsType[*MissingError](err)
			switch {
			case c.err && (missing == nil || missing.Found != c.want):
				t.Errorf("got %+v, %v", bin, err)
			case !c.err && (err != nil || bin.version != c.want):
				t.Errorf("got %+v, %v", bin, err)
			}
		})
	}
}

func fakePostgres(t *testing.T, dir, version string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fakeProgram(t, filepath.Join(dir, "postgres"), "postgres (PostgreSQL) "+version+" (Debian "+version+"-0+deb12u1)")
	fakeProgram(t, filepath.Join(dir, "initdb"), "")
}

func fakeProgram(t *testing.T, path, says string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+says+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]struct {
		major int
		text  string
	}{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n":  {15, "15.18"},
		"postgres (PostgreSQL) 18beta1\n":                         {18, "18beta1"},
		"Valkey server v=8.0.1 sha=00000000:0 malloc=jemalloc-5.": {8, "8.0.1"},
		"nothing to see": {},
	} {
		major, text, err := parseVersion("p", out)
		if major != want.major || text != want.text || (err == nil) != (want.text != "") {
			t.Errorf("%q: %d, %q, %v", out, major, text, err)
		}
	}
}
