package stack

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/valkey-io/valkey-go"
)

// dataTimeout bounds what takes the longer the more data a server has.
const dataTimeout = 30 * time.Second

var (
	// ErrTLSReplication is returned by ReplicaOf, which does not set replication up for servers that speak TLS.
	ErrTLSReplication = errors.New("replication between servers that speak TLS is not provided for")

	errNotInSync = errors.New("the replica is not in sync yet")
)

// ReplicaOf makes the server a replica of another one, whose data takes the place of its own, and waits until it has
// caught up with what the primary had by then. The server does not remember this: killed and started again, it is a
// primary once more, empty or with the data of its files. Pausing a replica makes it lag only for the while: it goes on with
// what its socket has received, even from a primary that is dead by then.
func (v *Valkey) ReplicaOf(ctx context.Context, primary *Valkey) error {
	return v.replicate(ctx, primary, primary.Port())
}

// ReplicaThrough is ReplicaOf by way of a proxy that stands before the primary. Its faults make the replica lag: with
// Blackhole it hears nothing of what is written from then on, and once it is promoted those writes are lost. A sentinel
// does not suffer a replica that names the proxy as its primary: it sets that right.
func (v *Valkey) ReplicaThrough(ctx context.Context, primary *Valkey, p *Proxy) error {
	return v.replicate(ctx, primary, p.port)
}

// Promote makes a replica a primary that keeps the data it has got. Its old primary goes on as well, if it is alive, and
// takes writes that the new one never hears of.
func (v *Valkey) Promote(ctx context.Context) error {
	err := v.do(ctx, func(c valkey.Client) valkey.Completed { return c.B().Replicaof().No().One().Build() })
	if err != nil {
		return fmt.Errorf("promoting %s: %w", v.Addr(), err)
	}
	return nil
}

// Info returns the fields of one section of INFO, such as "replication", or of all the usual ones when section is empty.
func (v *Valkey) Info(ctx context.Context, section string) (map[string]string, error) {
	var text string
	err := v.within(ctx, pingTimeout, func(ctx context.Context, c valkey.Client) error {
		var err error
		if section == "" {
			text, err = c.Do(ctx, c.B().Info().Build()).ToString()
		} else {
			text, err = c.Do(ctx, c.B().Info().Section(section).Build()).ToString()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("asking %s for its info: %w", v.Addr(), err)
	}
	return parseInfo(text), nil
}

// replicate replicates a primary that is reached at a port.
func (v *Valkey) replicate(ctx context.Context, primary *Valkey, port int) error {
	ctx, cancel := context.WithTimeout(ctx, dataTimeout)
	defer cancel()
	err := v.follow(ctx, primary, port)
	if err == nil {
		err = v.awaitSync(ctx, primary)
	}
	if err != nil {
		return fmt.Errorf("making %s a replica of %s: %w", v.Addr(), primary.Addr(), err)
	}
	return nil
}

func (v *Valkey) follow(ctx context.Context, primary *Valkey, port int) error {
	if v.drv.certs != nil || primary.drv.certs != nil {
		return ErrTLSReplication
	}
	return v.within(ctx, pingTimeout, func(ctx context.Context, c valkey.Client) error {
		auth := c.B().ConfigSet().ParameterValue().ParameterValue("primaryauth", primary.drv.cfg.Password).Build()
		if err := c.Do(ctx, auth).Error(); err != nil {
			return err
		}
		return c.Do(ctx, c.B().Replicaof().Host(host).Port(int64(port)).Build()).Error()
	})
}

// awaitSync waits until the replica has what its primary had when their connection was made.
func (v *Valkey) awaitSync(ctx context.Context, primary *Valkey) error {
	for target := int64(-1); ; {
		offset, err := v.replicaOffset(ctx)
		if err == nil && target < 0 {
			target, err = primary.primaryOffset(ctx)
		}
		if err == nil && offset >= target {
			return nil
		}
		if sleep(ctx, pingInterval) != nil {
			return errors.Join(ctx.Err(), errNotInSync, err)
		}
	}
}

// replicaOffset says how far a replica has come, and is an error while it has no connection to its primary.
func (v *Valkey) replicaOffset(ctx context.Context) (int64, error) {
	info, err := v.Info(ctx, "replication")
	if err != nil {
		return 0, err
	}
	if info["master_link_status"] != "up" {
		return 0, errNotInSync
	}
	return strconv.ParseInt(info["slave_repl_offset"], 10, 64)
}

func (v *Valkey) primaryOffset(ctx context.Context) (int64, error) {
	info, err := v.Info(ctx, "replication")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(info["master_repl_offset"], 10, 64)
}

// within runs f with a client for the server and a deadline.
func (v *Valkey) within(ctx context.Context, d time.Duration, f func(context.Context, valkey.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return v.with(ctx, func(c valkey.Client) error { return f(ctx, c) })
}

// do sends one command that takes no time.
func (v *Valkey) do(ctx context.Context, build func(valkey.Client) valkey.Completed) error {
	return v.within(ctx, pingTimeout, func(ctx context.Context, c valkey.Client) error { return c.Do(ctx, build(c)).Error() })
}
