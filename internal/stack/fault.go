package stack

import (
	"errors"
	"fmt"
	"time"
)

// errNoRate is returned by Drip, which does not stand still: that is what Blackhole is for.
var errNoRate = errors.New("the rate must be at least one byte per second")

// Direction is a way through a Proxy.
type Direction int

const (
	// Both is there and back.
	Both Direction = iota
	// ToServer is what clients send.
	ToServer
	// ToClient is what the server answers.
	ToClient
)

// faultKind is what a Proxy does to the network.
type faultKind int

const (
	healthy faultKind = iota
	blackhole
	reset
	slow
	drip
	halfOpen
	cut
)

// fault is a kind of fault with what it needs to know.
type fault struct {
	kind      faultKind
	direction Direction     // of a blackhole
	latency   time.Duration // of slow
	pace      time.Duration // of drip: per byte
}

// swallows tells whether data on its way in a direction, which is not Both, is lost.
func (f fault) swallows(d Direction) bool {
	switch f.kind {
	case halfOpen:
		return true
	case blackhole:
		return f.direction == Both || f.direction == d
	default:
		return false
	}
}

// Blackhole drops all data in both directions, and the news of either side's end too. Connections stand and new ones
// come about. The next fault, or Heal, resets those that have lost something: their streams have holes.
func (p *Proxy) Blackhole() error {
	return p.BlackholeOne(Both)
}

// BlackholeOne is Blackhole for one direction: with ToClient the server takes in and does everything, and its answers
// vanish; with ToServer it hears nothing more, yet what it was about to say still arrives.
func (p *Proxy) BlackholeOne(d Direction) error {
	return p.begin(fault{kind: blackhole, direction: d})
}

// Reset resets all connections, and new ones as soon as they have come about.
func (p *Proxy) Reset() error {
	return p.begin(fault{kind: reset})
}

// Slow delays data by latency in each direction, without limiting how much is on its way.
func (p *Proxy) Slow(latency time.Duration) error {
	return p.begin(fault{kind: slow, latency: latency})
}

// Drip passes data on a few bytes at a time, which tears messages apart: so many bytes in a second for each direction of
// each connection.
func (p *Proxy) Drip(bytesPerSecond int) error {
	if bytesPerSecond < 1 {
		return fmt.Errorf("dripping: %w", errNoRate)
	}
	return p.begin(fault{kind: drip, pace: time.Second / time.Duration(bytesPerSecond)})
}

// HalfOpen is a server's machine that has lost its memory of all connections without a word to the clients: the server
// sees a reset, its clients see silence. New connections come about, and nobody ever answers. The next fault that lets
// data flow, or Heal, resets them all.
func (p *Proxy) HalfOpen() error {
	return p.begin(fault{kind: halfOpen})
}

// Cut resets all connections and refuses new ones.
func (p *Proxy) Cut() error {
	return p.begin(fault{kind: cut})
}

// Heal ends the fault.
func (p *Proxy) Heal() error {
	return p.begin(fault{})
}
