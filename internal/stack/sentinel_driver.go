package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/valkey-io/valkey-go"
)

// sentinelDriver implements driver.
type sentinelDriver struct {
	plain valkeyDriver // a sentinel speaks as a server without a password does
	cfg   SentinelConfig
}

// prepare writes the configuration where there is none. A sentinel keeps what it learns in that file.
func (d *sentinelDriver) prepare(ctx context.Context) error {
	if err := d.plain.prepare(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(d.conf()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	name, primary := strconv.Quote(d.cfg.Name), d.cfg.Primary
	text := fmt.Sprintf("sentinel monitor %s %s %d 1\nsentinel down-after-milliseconds %s %d\nsentinel failover-timeout %s %d\n",
		name, host, primary.Port(), name, d.cfg.downAfter().Milliseconds(), name, d.cfg.failoverTimeout().Milliseconds())
	if password := primary.drv.cfg.Password; password != "" {
		text += fmt.Sprintf("sentinel auth-pass %s %s\n", name, strconv.Quote(password))
	}
	return os.WriteFile(d.conf(), []byte(text), 0o600)
}

func (d *sentinelDriver) conf() string {
	return filepath.Join(d.plain.dir.data(), "sentinel.conf")
}

func (d *sentinelDriver) command(port int) (*exec.Cmd, error) {
	cmd := exec.Command(d.plain.bin, d.conf(), "--sentinel", "--bind", host, "--port", strconv.Itoa(port),
		"--dir", d.plain.dir.data(), "--daemonize", "no")
	cmd.Dir = d.plain.dir.data()
	return cmd, nil
}

// ping asks for the process id, which no other server on the port would know.
func (d *sentinelDriver) ping(ctx context.Context, port, pid int) error {
	return d.plain.with(ctx, port, func(c valkey.Client) error {
		info, err := c.Do(ctx, c.B().Info().Section("server").Build()).ToString()
		if err != nil {
			return err
		}
		if parseInfo(info)["process_id"] != strconv.Itoa(pid) {
			return errStranger
		}
		return nil
	})
}

func (d *sentinelDriver) stopSignal() syscall.Signal { return syscall.SIGTERM }

func (d *sentinelDriver) release() error { return nil }

func (d *sentinelDriver) url(port int) string {
	return "valkey://" + address(port) + "?master_set=" + d.cfg.Name
}
