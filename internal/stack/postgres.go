package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

var errStranger = errors.New("another server answers on its port")

// PostgresConfig configures a Postgres server.
type PostgresConfig struct {
	// Dir is the server's folder. Empty means a fresh temporary one that Close removes; any other is kept, with the data
	// in it, for the next server on it.
	Dir string
	// Port is the port to listen on, 0 for one of our choice.
	Port int
	// Log takes the launcher's own messages; nil means none. The server logs to a file in its folder.
	Log *zap.Logger
	// NoFsync turns fsync off. That is faster and survives SIGKILL, but not a crash of the machine.
	NoFsync bool
	// Clock, when not nil, is the clock that the server reads the time of day from.
	Clock *Clock
	// Settings are further settings of the server, such as "wal_level": "logical".
	Settings map[string]string
}

// Postgres is a Postgres server with one superuser, postgres, who needs no password. Wipe makes the next Start run
// initdb again.
type Postgres struct {
	*Server
	drv *postgresDriver
}

// StartPostgres starts a Postgres server, with initdb first where there is no data. As root it runs both as the user
// postgres, or nobody where there is none, because they refuse to run as root.
func StartPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	return startPostgres(ctx, cfg, nil)
}

// startPostgres starts a server, which is a standby when it has a primary.
func startPostgres(ctx context.Context, cfg PostgresConfig, primary *Proxy) (*Postgres, error) {
	bin, err := systemPostgres().find(ctx)
	if err != nil {
		return nil, err
	}
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	if err := cfg.Clock.check(account); err != nil {
		return nil, err
	}
	dir, err := openFolder(cfg.Dir, "postgres")
	if err != nil {
		return nil, err
	}
	d := &postgresDriver{bin: bin, dir: dir, account: account, cfg: cfg, primary: primary}
	s, err := startServer(ctx, "postgres", dir, cfg.Port, cfg.Log, d)
	if err != nil {
		return nil, err
	}
	return &Postgres{Server: s, drv: d}, nil
}

// postgresDriver implements driver.
type postgresDriver struct {
	bin     postgresBin
	dir     folder
	account *account // nil means our own
	cfg     PostgresConfig
	primary *Proxy // the way to a standby's primary, else nil
}

// prepare runs initdb, or copies the primary, where there is no data. It works in another folder and renames that at the
// end, so that an initdb cut short is never taken for a database. A folder of data that are not Postgres's stays as it is, and is an
// error.
func (d *postgresDriver) prepare(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(d.dir.data(), "PG_VERSION")); err == nil {
		return d.release()
	}
	if err := os.Remove(d.dir.data()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("making room for its data: %w", err)
	}
	fresh := filepath.Join(d.dir.path, "data.new")
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("removing what another initdb has left: %w", err)
	}
	if err := d.account.makeDir(fresh); err != nil {
		return fmt.Errorf("making its data folder: %w", err)
	}
	fill := d.initdb
	if d.primary != nil {
		fill = d.copyPrimary
	}
	if err := fill(ctx, fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, d.dir.data()); err != nil {
		return fmt.Errorf("moving its data into place: %w", err)
	}
	return nil
}

func (d *postgresDriver) initdb(ctx context.Context, dir string) error {
	return d.run(ctx, dir, exec.CommandContext(ctx, d.bin.initdb, "-D", dir, "-U", "postgres", "--auth=trust", "-E", "UTF8",
		"--locale=C", "--no-sync", "--no-instructions"))
}

// run runs a program that fills a folder, with the processes that it starts itself: they would go on writing where Close
// removes.
func (d *postgresDriver) run(ctx context.Context, dir string, cmd *exec.Cmd) error {
	d.setUp(cmd, dir)
	cmd.SysProcAttr = ownGroup(cmd.SysProcAttr)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running %s: %w: %s", filepath.Base(cmd.Path), cmp.Or(ctx.Err(), err), strings.TrimSpace(string(out)))
	}
	return nil
}

func (d *postgresDriver) command(port int) (*exec.Cmd, error) {
	args := []string{"-D", d.dir.data(), "-p", strconv.Itoa(port)}
	settings := d.settings()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	cmd := exec.Command(d.bin.postgres, args...)
	d.setUp(cmd, d.dir.data())
	cmd.Env = d.cfg.Clock.env(cmd.Env)
	return cmd, nil
}

func (d *postgresDriver) settings() map[string]string {
	s := map[string]string{
		"listen_addresses":        host,
		"unix_socket_directories": "",
		"max_connections":         "200",
		"logging_collector":       "off",
		// In the data folder rather than in /dev/shm, where SIGKILL would leave it behind.
		"dynamic_shared_memory_type": "mmap",
	}
	if d.cfg.NoFsync {
		s["fsync"] = "off"
	}
	if d.primary != nil {
		s["wal_retrieve_retry_interval"] = "100ms" // or it would look for its primary every five seconds
	}
	maps.Copy(s, d.cfg.Settings)
	return s
}

// setUp gives a command its user, a folder that this user may stand in, and an environment without the PG variables
// that would steer it elsewhere. On macOS the postmaster refuses to start without a locale.
func (d *postgresDriver) setUp(cmd *exec.Cmd, dir string) {
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "PG") || strings.HasPrefix(kv, "LC_")
	})
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	cmd.SysProcAttr = d.account.attr()
}

func (d *postgresDriver) ping(ctx context.Context, port, _ int) error {
	conn, err := pgx.Connect(ctx, d.url(port))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var dir string
	if err := conn.QueryRow(ctx, "SELECT current_setting('data_directory')").Scan(&dir); err != nil {
		return err
	}
	if dir != d.dir.data() {
		return errStranger
	}
	return nil
}

// stopSignal asks for what Postgres calls a fast shutdown: sessions are ended, not waited for.
func (d *postgresDriver) stopSignal() syscall.Signal { return syscall.SIGINT }

func (d *postgresDriver) release() error {
	return clearPidFile(filepath.Join(d.dir.data(), "postmaster.pid"))
}

func (d *postgresDriver) url(port int) string {
	return fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", address(port))
}
