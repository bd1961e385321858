package site_test

import (
	"io"
	"net"
	"testing"

	"github.com/tidelock-cache/tidelock/bench/site"
)

func TestCounterCountsRoundTrips(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // answers each message of two bytes with two
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for message := make([]byte, 2); ; {
			if _, err := io.ReadFull(conn, message); err != nil {
				return
			}
			_, _ = conn.Write(message)
		}
	}()
	counter, err := site.NewCounter(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", counter.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := conn.Write([]byte("ab")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
	}
	if got := counter.Trips.Load(); got != 5 {
		t.Errorf("%d round trips, want 5", got)
	}
	if err := counter.Close(); err != nil { // though the connection is open
		t.Error(err)
	}
}
