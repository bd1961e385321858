package serve_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/serve"
)

// blocks returns the manual's blocks of a language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	manual, err := os.ReadFile("../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, rest := range strings.Split(string(manual), "\n```"+language+"\n")[1:] {
		block, _, closed := strings.Cut(rest, "\n```")
		if !closed {
			t.Fatalf("a block of %s has no end", language)
		}
		list = append(list, block)
	}
	if len(list) == 0 {
		t.Fatalf("the manual has nothing in %s", language)
	}
	return list
}

// TestTheManualsExamplesRun makes the manual's tables, serves its entities, and runs its programs, where there is what runs them.
func TestTheManualsExamplesRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", func(c *serve.Config) {
		if _, err := c.DB.Exec(t.Context(), `DROP TABLE flights, seats; `+blocks(t, "sql")[0]); err != nil {
			t.Fatal(err)
		}
		text := blocks(t, "yaml")[0]
		for _, template := range []string{"flight:{", "seat:{"} {
			text = strings.Replace(text, " "+template, " PREFIX"+template, 1)
		}
		c.File = (&world{t: t, prefix: "manual:"}).parse(text)
	})
	for language, program := range map[string]struct{ run, file string }{"sh": {"sh", "example.sh"}, "python": {"python3", "example.py"}, "ts": {"node", "example.mjs"}} {
		t.Run(language, func(t *testing.T) {
			path, err := exec.LookPath(program.run)
			if err != nil {
				t.Skipf("there is no %s", program.run)
			}
			if _, err := exec.LookPath("curl"); err != nil && language == "sh" {
				t.Skip("there is no curl")
			}
			for _, block := range blocks(t, language) {
				if language == "sh" {
					block = "set -eu\n" + block
				}
				file := filepath.Join(t.TempDir(), program.file)
				if err := os.WriteFile(file, []byte(block), 0o600); err != nil {
					t.Fatal(err)
				}
				cmd := exec.CommandContext(t.Context(), path, file)
				cmd.Env = append(os.Environ(), "URL="+w.url, "TOKEN=board-token")
				out, err := cmd.CombinedOutput()
				t.Logf("%s", out)
				if err != nil {
					t.Errorf("%v", err)
				}
			}
		})
	}
}
