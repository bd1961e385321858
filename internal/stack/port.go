package stack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// host is the only address that servers listen on.
const host = "127.0.0.1"

// Ports are taken below the range from which kernels choose the source ports of outgoing connections (32768 and up on
// Linux, 49152 and up elsewhere). A port from Listen(":0") lies inside that range: while its server is down, a client
// that dials it over and over can be given that very port as its source, connect to itself and keep the server from
// coming back.
const (
	lowestPort  = 12000
	highestPort = 32000
)

var errNoPort = errors.New("no free port")

// reserved holds the ports that servers of this process own. A stopped server does not listen, yet nobody else may be
// given its port.
var reserved = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// takePort reserves a port on which nobody listens right now. Another process may still win it before our server
// binds, so the first start of a server is tried again with another port.
func takePort() (int, error) {
	reserved.Lock()
	defer reserved.Unlock()
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		if !reserved.ports[port] && portFree(port) {
			reserved.ports[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("choosing a port between %d and %d: %w", lowestPort, highestPort, errNoPort)
}

// reservePort keeps takePort from giving out a port that the caller chose.
func reservePort(port int) {
	reserved.Lock()
	defer reserved.Unlock()
	reserved.ports[port] = true
}

func releasePort(port int) {
	reserved.Lock()
	defer reserved.Unlock()
	delete(reserved.ports, port)
}

// portFree tells whether a server could bind the port now.
func portFree(port int) bool {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

func address(port int) string {
	return net.JoinHostPort(host, strconv.Itoa(port))
}
