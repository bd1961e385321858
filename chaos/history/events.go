package history

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// RecordEvent appends an event to those of the run in dir.
func RecordEvent(dir string, e Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("recording an event: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, eventsName), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("recording an event: %w", err)
	}
	_, err = file.Write(append(line, '\n'))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("recording an event: %w", err)
	}
	return nil
}

// LoadEvents returns the events of the run in dir, in the order in which they happened; none when there is no file of them.
func LoadEvents(dir string) ([]Event, error) {
	var events []Event
	err := eachLine(filepath.Join(dir, eventsName), func(line []byte) error {
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		events = append(events, e)
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return events, nil
}
