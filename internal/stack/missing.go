package stack

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// versionTimeout bounds how long a program may take to print its version.
const versionTimeout = 20 * time.Second

// MissingError reports a server program that is not installed, or only in a version that is too old. Its text is one
// sentence that says what to run.
type MissingError struct {
	// Program is the name of the program, such as "valkey-server".
	Program string
	// Found is the version that is installed, empty when there is none.
	Found string
	// Need is the lowest major version that serves.
	Need int
	// Package is what Debian's apt-get install takes.
	Package string
}

// Error implements error.
func (e *MissingError) Error() string {
	what := "not found"
	if e.Found != "" {
		what = fmt.Sprintf("%s is too old, version %d or newer is needed", e.Found, e.Need)
	}
	return fmt.Sprintf(`%s %s: run "make deps" (Debian: apt-get install %s)`, e.Program, what, e.Package)
}

// versionPattern finds the first version number: "postgres (PostgreSQL) 15.18 (Debian…)", "17beta1" and
// "Valkey server v=8.0.1 sha=…".
var versionPattern = regexp.MustCompile(`(\d+)(?:[.\w]*)`)

// programVersion runs a program with --version and returns its major version and the version as printed.
func programVersion(ctx context.Context, path string) (major int, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		// A program that was killed because the time was up says nothing about itself.
		return 0, "", fmt.Errorf("asking %s for its version: %w", path, cmp.Or(ctx.Err(), err))
	}
	return parseVersion(path, string(out))
}

func parseVersion(path, out string) (major int, text string, err error) {
	m := versionPattern.FindStringSubmatch(out)
	if m == nil {
		return 0, "", fmt.Errorf("asking %s for its version: no number in %q", path, out)
	}
	major, err = strconv.Atoi(m[1])
	if err != nil {
		return 0, "", fmt.Errorf("reading the version of %s: %w", path, err)
	}
	return major, m[0], nil
}
