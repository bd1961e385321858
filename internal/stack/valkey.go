package stack

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os/exec"

	"github.com/valkey-io/valkey-go"
	"go.uber.org/zap"
)

// minValkey is the oldest major version that serves.
const minValkey = 8

// ValkeyConfig configures a Valkey server.
type ValkeyConfig struct {
	// Dir is the server's folder. Empty means a fresh temporary one that Close removes; any other is kept.
	Dir string
	// Port is the port to listen on, 0 for one of our choice.
	Port int
	// Log takes the launcher's own messages; nil means none. The server logs to a file in its folder.
	Log *zap.Logger
	// Password, when not empty, is what clients must give.
	Password string
	// TLS makes the port speak TLS, with a certificate of a throw-away authority; see Valkey.TLSConfig.
	TLS bool
	// Clock, when not nil, is the clock that the server reads the time of day from.
	Clock *Clock
	// Args are further arguments, such as "--appendonly", "yes". Without any nothing is kept on disk, and a server that
	// stops or is killed comes back empty.
	Args []string
}

// Valkey is a Valkey server.
type Valkey struct {
	*Server
	drv *valkeyDriver
}

// StartValkey starts a Valkey server; args are appended to those of cfg.
func StartValkey(ctx context.Context, cfg ValkeyConfig, args ...string) (*Valkey, error) {
	bin, err := findValkey(ctx, exec.LookPath)
	if err != nil {
		return nil, err
	}
	dir, err := openFolder(cfg.Dir, "valkey")
	if err != nil {
		return nil, err
	}
	d := &valkeyDriver{bin: bin, dir: dir, cfg: cfg, args: append(cfg.Args[:len(cfg.Args):len(cfg.Args)], args...)}
	if cfg.TLS {
		if d.certs, err = MakeCerts(dir.path); err != nil {
			return nil, errors.Join(fmt.Errorf("making certificates for valkey: %w", err), dir.remove())
		}
	}
	s, err := startServer(ctx, "valkey", dir, cfg.Port, cfg.Log, d)
	if err != nil {
		return nil, err
	}
	return &Valkey{Server: s, drv: d}, nil
}

// ClientOption is what a valkey-go client needs to find the server, with neither its cache nor its retries changed.
func (v *Valkey) ClientOption() valkey.ClientOption {
	return v.drv.clientOption(v.Port())
}

// TLSConfig is how a client trusts the server, nil when the server does not speak TLS. Each call returns a new one.
func (v *Valkey) TLSConfig() *tls.Config {
	return v.drv.clientOption(v.Port()).TLSConfig
}

// Certs are the files behind TLSConfig, nil when the server does not speak TLS.
func (v *Valkey) Certs() *Certs {
	return v.drv.certs
}

func findValkey(ctx context.Context, lookPath func(string) (string, error)) (string, error) {
	missing := &MissingError{Program: "valkey-server", Need: minValkey, Package: "-t bookworm-backports valkey-server"}
	path, err := lookPath(missing.Program)
	if err != nil {
		return "", missing
	}
	major, version, err := programVersion(ctx, path)
	if err != nil {
		return "", err
	}
	if major < minValkey {
		missing.Found = version
		return "", missing
	}
	return path, nil
}
