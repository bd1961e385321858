//go:build !linux

package lease

import "time"

// Now reads the clock that leases are counted by. Nobody can set it. Whether it runs on while the machine sleeps depends on the system: let no machine
// sleep that holds leases.
func Now() time.Duration { return time.Since(began) }
