package results_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/tidelock-cache/tidelock/bench/results"
)

func TestFiguresComeBack(t *testing.T) {
	r := results.New()
	for name, figure := range map[string]float64{"large": 123456.7, "ratio": 1.98765, "small": 0.000123456, "none": 0} {
		r.Set(name, figure)
	}
	r.Say("environment.cpu", "one")
	path := filepath.Join(t.TempDir(), "out", "results.json")
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := results.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"large": 123457.0, "ratio": 1.988, "small": 0.0001235, "none": 0.0, "environment.cpu": "one"} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

func TestNoFile(t *testing.T) {
	if got, err := results.Load(filepath.Join(t.TempDir(), "none.json")); err != nil || got != nil {
		t.Errorf("got %v, %v of no file", got, err)
	}
}

func TestRatios(t *testing.T) {
	r := results.New()
	r.Set("put.c64.ratio", 2)
	r.Set("get.c1.ratio", 1)
	r.Set("put.c64.ratio_low", 1.5)
	want := []results.Ratio{{Name: "get.c1.ratio", Value: 1}, {Name: "put.c64.ratio", Value: 2}}
	if got := r.Ratios(); !slices.Equal(got, want) {
		t.Errorf("the ratios are %v, want %v", got, want)
	}
}
