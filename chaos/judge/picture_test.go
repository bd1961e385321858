package judge

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

func TestPicture(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k.html")
	run := trialOf(nil, []history.Event{{At: 4, Name: "valkey killed", Begin: true}}, written(unknown(put(3, 0, 0, 3, 0)), exact(1, 1, 5, 5, 6))...)
	if err := Picture(run, "k", path); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"valkey killed", "hit op 1", "write 2 of w/2 (N 2, version 6)"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	failed := history.Op{Process: "w", Client: 1, Kind: history.Write, Key: "k", ID: 1, Begin: 1, End: 2, Outcome: history.Fail}
	for what, c := range map[string]struct {
		run Run
		key string
	}{"a key without operations": {run, "another"}, "one whose writes have failed": {trialOf(nil, nil, failed), "k"}} {
		if err := Picture(c.run, c.key, path); !errors.Is(err, ErrNothingToDraw) {
			t.Errorf("%s: %v, want that there is nothing to draw", what, err)
		}
	}
}

// TestBigPicture: of a long history only what is around the violation is drawn.
func TestBigPicture(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	run := w.run(20_000, 8, 1)
	staleRead(history.Strict)(w, &run, 10_000)
	path := filepath.Join(t.TempDir(), "k.html")
	if err := Picture(run, "k0", path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > 2<<20 {
		t.Errorf("%v, %v", info.Size(), err)
	}
}
