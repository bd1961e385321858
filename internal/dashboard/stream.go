package dashboard

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

const (
	// viewersMost bounds the streams.
	viewersMost = 64
	// behindMost is how many events a viewer may be behind before its stream is ended: the browser opens another, which begins with all there is.
	behindMost = 16
	// sendTimeout is for one event.
	sendTimeout = 10 * time.Second
)

// event is one server-sent event. JSON has no line breaks of its own.
func event(name string, data any) []byte {
	text, err := json.Marshal(data)
	if err != nil {
		text = []byte("null") // only of a NaN, which no sample has
	}
	var b bytes.Buffer
	for _, part := range []string{"event: ", name, "\ndata: ", string(text), "\n\n"} {
		b.WriteString(part)
	}
	return b.Bytes()
}

// viewers are the open streams.
type viewers struct {
	done chan struct{} // closed when Run ends

	mu  sync.Mutex // guards all
	all map[chan []byte]struct{}
}

// enter adds a stream, and returns false when there are too many.
func (v *viewers) enter() (chan []byte, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.all) >= viewersMost {
		return nil, false
	}
	if v.all == nil {
		v.all = make(map[chan []byte]struct{})
	}
	c := make(chan []byte, behindMost)
	v.all[c] = struct{}{}
	return c, true
}

func (v *viewers) leave(c chan []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.all, c)
}

// show sends an event to all, and ends the streams of those that do not keep up.
func (v *viewers) show(event []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for c := range v.all {
		select {
		case c <- event:
		default:
			delete(v.all, c)
			close(c)
		}
	}
}

// past is what a stream begins with.
type past struct {
	Name     string       `json:"name"`
	Admin    string       `json:"admin"` // open, token, none
	Samples  []Sample     `json:"samples"`
	Timeline []Event      `json:"timeline"`
	Actions  []actionView `json:"actions"`
}

type actionView struct {
	Name  string `json:"name"`
	Label string `json:"label"`
}

func (d *Dashboard) past() past {
	p := past{Name: d.cfg.Name, Admin: d.admin(), Timeline: d.timeline.all(), Actions: []actionView{}}
	for _, a := range d.cfg.Actions {
		p.Actions = append(p.Actions, actionView{a.Name, a.Label})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p.Samples = append([]Sample{}, d.samples...)
	return p
}

// stream serves the events until the viewer leaves, or the dashboard ends.
func (d *Dashboard) stream(w http.ResponseWriter, r *http.Request) {
	events, ok := d.viewers.enter()
	if !ok {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many people are watching", http.StatusServiceUnavailable)
		return
	}
	defer d.viewers.leave(events)
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	send := func(b []byte) bool {
		if err := out.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
			return false
		}
		if _, err := w.Write(b); err != nil {
			return false
		}
		return out.Flush() == nil
	}
	for b, open := event("past", d.past()), true; open && send(b); {
		select {
		case <-r.Context().Done():
			return
		case <-d.viewers.done:
			return
		case b, open = <-events:
		}
	}
}
