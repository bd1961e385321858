package lease_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/lease"
)

// held is a lease of three servers, and those of them that a read goes through.
func held() (lease.Held, []string) {
	servers := []string{
		"0123456789abcdef0123456789abcdef01234567",
		"123456789abcdef0123456789abcdef012345678",
		"23456789abcdef0123456789abcdef0123456789",
	}
	return lease.Held{Servers: servers, TrustedUntil: time.Hour, Settled: time.Minute}, servers[2:]
}

func BenchmarkTrusts(b *testing.B) {
	h, servers := held()
	b.ReportAllocs()
	for b.Loop() {
		if !h.Trusts(time.Second, servers) {
			b.Fatal("it does not")
		}
	}
}

func BenchmarkWithin(b *testing.B) {
	h, servers := held()
	b.ReportAllocs()
	for b.Loop() {
		if !h.Within(time.Minute, servers, time.Second) {
			b.Fatal("it is not")
		}
	}
}

func BenchmarkNow(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		lease.Now()
	}
}

func BenchmarkReply(b *testing.B) {
	_, servers := held()
	text, err := json.Marshal(lease.Reply{Trusted: true, Servers: servers, Behind: time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var r lease.Reply
		if err := json.Unmarshal(text, &r); err != nil {
			b.Fatal(err)
		}
	}
}
