// Command tidelock runs and inspects Tidelock: a write-through cache for Postgres and Valkey that does not lie.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/internal/stack"
)

// cli is the command line. Every setting may also come from its environment variable or from the configuration file.
type cli struct {
	Settings

	Migrate  migrateCmd       `cmd:"" help:"Create, upgrade or remove the schema tidelock in Postgres."`
	Relay    relayCmd         `cmd:"" help:"Bring to the cache what its writers could not. Run at least one; any number may run."`
	Serve    serveCmd         `cmd:"" help:"Serve rows of declared entities over HTTP, through the cache."`
	Inspect  inspectCmd       `cmd:"" help:"Show a key: the entry in Valkey beside its version and its pending records in Postgres."`
	Outbox   outboxCmd        `cmd:"" help:"Show what waits for the cache and what was set aside, and retry it."`
	Status   statusCmd        `cmd:"" help:"Show who guards the cache, which servers are on record, and how much waits."`
	Strict   strictCmd        `cmd:"" help:"Show and declare which keys have linearizable reads."`
	Attach   attachCmd        `cmd:"" help:"Have Postgres record every change of an entity's table, whoever makes it."`
	Detach   detachCmd        `cmd:"" help:"Take that back."`
	Attached attachedCmd      `cmd:"" help:"List the tables that are attached."`
	Format   formatCmd        `cmd:"" help:"Show or change the format in which entries are written, for an upgrade while both builds run."`
	Verify   verifyCmd        `cmd:"" help:"Compare the cache with Postgres, online, and say how consistent they are."`
	Repair   repairCmd        `cmd:"" help:"Invalidate entries that are older than Postgres says, after a restore by hand, say."`
	Dev      devCmd           `cmd:"" help:"Start private Postgres, Valkey and NATS servers and a relay to develop against."`
	Demo     demoCmd          `cmd:"" help:"Watch flights go through Tidelock and a naive cache while servers are killed."`
	Chaos    chaosCmd         `cmd:"" help:"Attack Tidelock on private servers and judge every operation."`
	Config   kong.ConfigFlag  `help:"Read settings from this JSON file, flags' names as keys." placeholder:"FILE" env:"TIDELOCK_CONFIG" type:"path"`
	Version  kong.VersionFlag `help:"Print the version."`
}

const description = `Tidelock keeps Valkey locked to Postgres: a write commits its row together with a record of the change, sets the cache, and a relay
brings to the cache whatever that could not.

Start with "tidelock migrate up" against your database, then run "tidelock relay". Settings come from flags, then from the environment,
then from the file given with --config.`

func main() {
	stack.RunChild() // a copy of this program serves as the dev stack's NATS server
	drive.RunChild() // others are what the chaos suite attacks
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// run parses the arguments, runs the command and returns the exit code.
func run(ctx context.Context, args []string) int {
	var c cli
	parser, err := kong.New(&c,
		kong.Name("tidelock"),
		kong.Description(description),
		kong.Configuration(settingsFile),
		kong.Vars{"version": version()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		return fail(err)
	}
	command, err := parser.Parse(args)
	if err != nil {
		if usage, ok := errors.AsType[*kong.ParseError](err); ok {
			_ = usage.Context.PrintUsage(true)
		}
		return fail(err)
	}
	if err := command.Run(&c.Settings); err != nil {
		return fail(err)
	}
	return 0
}

func fail(err error) int {
	if !errors.Is(err, errVerdict) {
		fmt.Fprintln(os.Stderr, "tidelock:", err)
	}
	return 1
}

// version is that of the module, or of the commit for a build from a checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}
