package stack

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/valkey-io/valkey-go"
)

var errLoading = errors.New("it is still loading its data")

// valkeyDriver implements driver.
type valkeyDriver struct {
	bin   string
	dir   folder
	cfg   ValkeyConfig
	args  []string
	certs *Certs
}

func (d *valkeyDriver) prepare(context.Context) error {
	return os.MkdirAll(d.dir.data(), 0o700)
}

func (d *valkeyDriver) command(port int) (*exec.Cmd, error) {
	args := []string{"--bind", host, "--dir", d.dir.data(), "--daemonize", "no", "--save", "", "--appendonly", "no",
		"--dbfilename", rdbName,
		// A primary would wait five seconds for more replicas that might come.
		"--repl-diskless-sync-delay", "0"}
	if d.certs == nil {
		args = append(args, "--port", strconv.Itoa(port))
	} else {
		args = append(args, "--port", "0", "--tls-port", strconv.Itoa(port), "--tls-auth-clients", "no",
			"--tls-cert-file", d.certs.CertFile, "--tls-key-file", d.certs.KeyFile, "--tls-ca-cert-file", d.certs.CAFile)
	}
	if d.cfg.Password != "" {
		args = append(args, "--requirepass", d.cfg.Password)
	}
	cmd := exec.Command(d.bin, append(args, d.args...)...)
	cmd.Dir = d.dir.data()
	cmd.Env = d.cfg.Clock.env(os.Environ())
	return cmd, nil
}

// ping asks for the process id, which no other server on the port would know. INFO works in every state of a server,
// so the field that says whether it is still loading its data is looked at as well.
func (d *valkeyDriver) ping(ctx context.Context, port, pid int) error {
	return d.with(ctx, port, func(c valkey.Client) error {
		info, err := c.Do(ctx, c.B().Info().Build()).ToString()
		if err != nil {
			return err
		}
		fields := parseInfo(info)
		if fields["process_id"] != strconv.Itoa(pid) {
			return errStranger
		}
		if fields["loading"] != "0" {
			return errLoading
		}
		return nil
	})
}

// with runs f with a client for the one server.
func (d *valkeyDriver) with(ctx context.Context, port int, f func(valkey.Client) error) error {
	opt := d.clientOption(port)
	opt.ForceSingleClient, opt.DisableCache, opt.DisableRetry = true, true, true
	opt.Dialer.Timeout, opt.ConnWriteTimeout = pingTimeout, pingTimeout
	c, err := valkey.NewClient(opt)
	if c != nil {
		defer c.Close()
	}
	if err != nil {
		return err
	}
	return f(c)
}

func (d *valkeyDriver) clientOption(port int) valkey.ClientOption {
	opt := valkey.ClientOption{InitAddress: []string{address(port)}, Password: d.cfg.Password}
	if d.certs != nil {
		opt.TLSConfig = d.certs.ClientConfig()
	}
	return opt
}

func (d *valkeyDriver) stopSignal() syscall.Signal { return syscall.SIGTERM }

func (d *valkeyDriver) release() error { return nil }

func (d *valkeyDriver) url(port int) string {
	u := url.URL{Scheme: "valkey", Host: address(port)}
	if d.certs != nil {
		u.Scheme = "valkeys"
	}
	if d.cfg.Password != "" {
		u.User = url.UserPassword("", d.cfg.Password)
	}
	return u.String()
}
