package check

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// settings are the environment variables that tidelock reads, by what its source says.
var settings = sync.OnceValues(func() (map[string]bool, error) {
	files, err := filepath.Glob("../../cmd/tidelock/*.go")
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool)
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for _, m := range regexp.MustCompile(`env:"(TIDELOCK_[A-Z_]+)[",]`).FindAllStringSubmatch(string(text), -1) {
			names[m[1]] = true
		}
	}
	return names, nil
})

// known fails if a variable is none that tidelock reads: it would be ignored, without a word.
func known(t *testing.T, who, name string) {
	t.Helper()
	names, err := settings()
	if err != nil || len(names) == 0 {
		t.Fatalf("reading the settings of tidelock: %v, %v", names, err)
	}
	if name == "TIDELOCK_ENTITIES" && !serves() {
		return
	}
	if strings.HasPrefix(name, "TIDELOCK_") && !names[name] {
		t.Errorf("%s sets %s, which tidelock does not read", who, name)
	}
}

// serves tells whether tidelock has the command serve. The chart and the compose file leave it off by default.
func serves() bool {
	_, err := os.Stat("../../cmd/tidelock/serve.go")
	return err == nil
}
