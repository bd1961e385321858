package demo

import (
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidelock-cache/tidelock/internal/demo/data"
)

// flight is one flight of the data, and what the demo makes of it.
type flight struct {
	id                  int
	day, departed       string
	origin, destination string
	distance, delay     int
	// cancelled flights are deleted instead of departing. The data has none, so the demo cancels every 25th.
	cancelled bool
}

// cancelEvery is how many flights there are to one that is cancelled.
const cancelEvery = 25

// flights returns the first n flights of the data in the order of departure.
func flights(n int) ([]flight, error) {
	rows, err := csv.NewReader(strings.NewReader(data.Flights)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading the flights: %w", err)
	}
	rows = rows[1:]
	all := make([]flight, min(n, len(rows)))
	for i := range all {
		if all[i], err = parseFlight(rows[i]); err != nil {
			return nil, fmt.Errorf("reading flight %d: %w", i+1, err)
		}
	}
	return all, nil
}

func parseFlight(row []string) (flight, error) {
	var numbers [3]int
	for i, text := range []string{row[0], row[4], row[5]} {
		n, err := strconv.Atoi(text)
		if err != nil {
			return flight{}, err
		}
		numbers[i] = n
	}
	day, _, _ := strings.Cut(row[1], "T")
	return flight{
		id: numbers[0], day: day, departed: row[1], origin: row[2], destination: row[3], distance: numbers[1], delay: numbers[2],
		cancelled: numbers[0]%cancelEvery == 0,
	}, nil
}

// step is one thing that happens to a flight.
type step int

const (
	scheduled step = iota
	departed
	delayed
	cancelled
)

// event is a step of the flight at an index.
type event struct {
	flight int
	step   step
}

// lag is how many flights are scheduled between a flight's own schedule and its departure.
const lag = 25

// timetable returns all events in order. A flight's departure and its delay are told by two sources at the same
// moment, as they are in life: this is where two writers race.
func timetable(all []flight) []event {
	var events []event
	for i := range len(all) + lag {
		if i < len(all) {
			events = append(events, event{i, scheduled})
		}
		if j := i - lag; j >= 0 {
			if all[j].cancelled {
				events = append(events, event{j, delayed}, event{j, cancelled})
			} else {
				events = append(events, event{j, departed}, event{j, delayed})
			}
		}
	}
	return events
}
