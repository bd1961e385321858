package dashboard

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidelock-cache/tidelock/relay"
)

const (
	// subject begins the NATS subject on which the relays of a database tell of themselves; the database's name follows.
	subject = "tidelock.relays."
	// heardFor is how long a relay is shown that is not heard of any more.
	heardFor = 5 * time.Second
	// peersMost and reportMost bound what others can make us remember.
	peersMost  = 64
	reportMost = 16 << 10
)

// report is what a relay tells of itself, once a second.
type report struct {
	ID    string      `json:"id"`
	Name  string      `json:"name"`
	Stats relay.Stats `json:"stats"`
	// Guardian: it is. Behind is how old the oldest commit may be that is not known to be settled, in seconds, nil while that is not known.
	Guardian bool     `json:"guardian"`
	Behind   *float64 `json:"behind,omitempty"`
	Audit    *Audit   `json:"audit,omitempty"`
}

// peers are the relays with a dashboard, this one among them.
type peers struct {
	id   string
	conn *nats.Conn
	of   string // whose subject is listened to; of Run's goroutine, as is subscription

	subscription *nats.Subscription

	mu    sync.Mutex // guards heard
	heard map[string]heard
}

type heard struct {
	report
	at time.Time
}

func newPeers(id string, conn *nats.Conn) *peers {
	return &peers{id: id, conn: conn, heard: make(map[string]heard)}
}

// tell tells the others of this relay, and listens to those of the same database.
func (p *peers) tell(database string, r report) {
	r.ID = p.id
	p.note(r)
	if database == "" {
		return
	}
	if database != p.of {
		p.close()
		p.subscription, _ = p.conn.Subscribe(subject+database, p.hear) // it fails once the connection is closed
		p.of = database
	}
	if text, err := json.Marshal(r); err == nil && p.conn.IsConnected() {
		_ = p.conn.Publish(subject+database, text)
	}
}

func (p *peers) hear(m *nats.Msg) {
	var r report
	if len(m.Data) > reportMost || json.Unmarshal(m.Data, &r) != nil || r.ID == "" || r.ID == p.id {
		return
	}
	p.note(r)
}

func (p *peers) note(r report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for id, h := range p.heard {
		if now.Sub(h.at) > heardFor {
			delete(p.heard, id)
		}
	}
	if _, known := p.heard[r.ID]; known || len(p.heard) < peersMost {
		p.heard[r.ID] = heard{r, now}
	}
}

// list returns the relays heard of lately, this one first.
func (p *peers) list() []report {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []report
	for _, h := range p.heard {
		if time.Since(h.at) <= heardFor {
			all = append(all, h.report)
		}
	}
	slices.SortFunc(all, func(a, b report) int {
		if mine := cmp.Compare(truth(b.ID == p.id), truth(a.ID == p.id)); mine != 0 {
			return mine
		}
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return all
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// close ends the listening.
func (p *peers) close() {
	if p.subscription != nil {
		_ = p.subscription.Unsubscribe() // of a connection that may be closed
		p.subscription = nil
	}
}
