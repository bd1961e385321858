package judge

import (
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
	if err := Picture(run, "another", path); err == nil {
		t.Error("a key without operations was drawn")
	}
}

// TestBigPicture: of a long history only what is around the violation is drawn.
func TestBigPicture(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	run := w.run(20_000, 8, 1)
	staleRead(w, &run, 10_000)
	path := filepath.Join(t.TempDir(), "k.html")
	if err := Picture(run, "k0", path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > 2<<20 {
		t.Errorf("%v, %v", info.Size(), err)
	}
}
