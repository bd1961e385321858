package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"

	"github.com/valkey-io/valkey-go"
	"go.uber.org/zap"
)

var errFewReplicas = errors.New("the sentinel does not know all replicas yet")

// SentinelConfig configures a sentinel.
type SentinelConfig struct {
	// Primary is the server to watch. Its replicas become known through it.
	Primary *Valkey
	// Name is what the sentinel's clients call the primary.
	Name string
	// DownAfter is how long the primary may be silent before it counts as down, 0 for half a second.
	DownAfter time.Duration
	// FailoverTimeout is how long a failover may take before the next attempt, half of it; 0 for five seconds.
	FailoverTimeout time.Duration
	// Dir is the sentinel's folder. Empty means a fresh temporary one that Close removes; any other is kept.
	Dir string
	// Port is the port to listen on, 0 for one of our choice.
	Port int
	// Log takes the launcher's own messages; nil means none. The sentinel logs to a file in its folder.
	Log *zap.Logger
}

// Sentinel is a Valkey sentinel that decides alone: it promotes a replica when the primary is down. Started again it
// knows what it knew; Wipe makes it begin with the first primary. After a pause of more than two seconds it trusts
// nothing, itself included, and does nothing for half a minute.
type Sentinel struct {
	*Server
	drv *sentinelDriver
}

// StartSentinel starts a sentinel. It returns when it serves, which is before it knows the replicas; see AwaitReplicas.
func StartSentinel(ctx context.Context, cfg SentinelConfig) (*Sentinel, error) {
	bin, err := findValkey(ctx, exec.LookPath)
	if err != nil {
		return nil, err
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	dir, err := openFolder(cfg.Dir, "sentinel")
	if err != nil {
		return nil, err
	}
	d := &sentinelDriver{plain: valkeyDriver{bin: bin, dir: dir}, cfg: cfg}
	s, err := startServer(ctx, "sentinel", dir, cfg.Port, cfg.Log, d)
	if err != nil {
		return nil, err
	}
	return &Sentinel{Server: s, drv: d}, nil
}

func (c SentinelConfig) check() error {
	switch {
	case c.Primary == nil:
		return errors.New("sentinel: Primary is nil: give the server to watch")
	case c.Primary.drv.certs != nil:
		return fmt.Errorf("sentinel: Primary: %w", ErrTLSReplication)
	case c.Name == "":
		return errors.New("sentinel: Name is empty: give the name that clients ask for")
	default:
		return nil
	}
}

func (c SentinelConfig) downAfter() time.Duration {
	return cmp.Or(c.DownAfter, 500*time.Millisecond)
}

func (c SentinelConfig) failoverTimeout() time.Duration {
	return cmp.Or(c.FailoverTimeout, 5*time.Second)
}

// Primary is the host and port of the server that the sentinel sends clients to.
func (s *Sentinel) Primary(ctx context.Context) (string, error) {
	var addr []string
	err := s.ask(ctx, func(ctx context.Context, c valkey.Client) (err error) {
		addr, err = c.Do(ctx, c.B().SentinelGetMasterAddrByName().Master(s.drv.cfg.Name).Build()).AsStrSlice()
		return err
	})
	if err == nil && len(addr) != 2 {
		err = fmt.Errorf("the answer has %d parts", len(addr))
	}
	if err != nil {
		return "", fmt.Errorf("asking a sentinel for the primary: %w", err)
	}
	return net.JoinHostPort(addr[0], addr[1]), nil
}

// AwaitReplicas waits until the sentinel knows n replicas of the primary, and so has somebody to promote. It looks for
// new ones every ten seconds.
func (s *Sentinel) AwaitReplicas(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, dataTimeout)
	defer cancel()
	for {
		known, err := s.replicas(ctx)
		if err == nil && known >= n {
			return nil
		}
		if sleep(ctx, pingInterval) != nil {
			return fmt.Errorf("waiting for a sentinel to find %d replicas: %w", n, errors.Join(ctx.Err(), errFewReplicas, err))
		}
	}
}

func (s *Sentinel) replicas(ctx context.Context) (n int, err error) {
	err = s.ask(ctx, func(ctx context.Context, c valkey.Client) error {
		primary, err := c.Do(ctx, c.B().Arbitrary("SENTINEL", "MASTER", s.drv.cfg.Name).Build()).AsStrMap()
		if err != nil {
			return err
		}
		n, err = strconv.Atoi(primary["num-slaves"])
		return err
	})
	return n, err
}

// ask runs f with a client for the sentinel and a deadline.
func (s *Sentinel) ask(ctx context.Context, f func(context.Context, valkey.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return s.drv.plain.with(ctx, s.Port(), func(c valkey.Client) error { return f(ctx, c) })
}
