// Package results writes down what was measured: a flat object of named figures, and a table.
package results

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Results is a flat object of figures and of words about how they came about. It is safe for several goroutines.
type Results struct {
	mu  sync.Mutex
	all map[string]any
}

// New returns results without a figure.
func New() *Results { return &Results{all: make(map[string]any)} }

// Set notes a figure, with four digits that count.
func (r *Results) Set(name string, figure float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[name] = rounded(figure)
}

// Say notes a word.
func (r *Results) Say(name, word string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[name] = word
}

// Keep takes over the figures of an earlier run.
func (r *Results) Keep(earlier map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.Copy(r.all, earlier)
}

// Figure returns a figure, and whether there is one of this name.
func (r *Results) Figure(name string) (float64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	figure, ok := r.all[name].(float64)
	return figure, ok
}

func rounded(x float64) float64 {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(x)))-3)
	if unit >= 1 {
		return math.Round(x)
	}
	return math.Round(x/unit) / math.Round(1/unit)
}

// Save writes them to a file, sorted by name.
func (r *Results) Save(path string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, err := json.MarshalIndent(r.all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// Load reads results from a file; a file that is not there holds none.
func Load(path string) (map[string]any, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all map[string]any
	return all, json.Unmarshal(text, &all)
}

// Ratio is a figure that compares.
type Ratio struct {
	Name  string
	Value float64
}

// Ratios returns the figures whose names end in .ratio, sorted by name.
func (r *Results) Ratios() []Ratio {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ratios []Ratio
	for _, name := range slices.Sorted(maps.Keys(r.all)) {
		if figure, ok := r.all[name].(float64); ok && strings.HasSuffix(name, ".ratio") {
			ratios = append(ratios, Ratio{Name: name, Value: figure})
		}
	}
	return ratios
}
