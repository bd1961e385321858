// Command bench measures Tidelock beside what people use instead: one program, one machine, the same servers, by turns.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/tidelock-cache/tidelock/internal/stack"
)

type cli struct {
	Run   runCmd   `cmd:"" default:"withargs" help:"Measure, print a table and write results.json."`
	Relay relayCmd `cmd:"" hidden:"" help:"Be the relay of a bench."`
	Watch watchCmd `cmd:"" hidden:"" help:"Be the process that reads what a bench writes."`
}

func main() {
	stack.RunChild() // a copy of this program serves as the NATS server
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	command := kong.Parse(&c, kong.Name("bench"), kong.Description("Measure Tidelock beside what people use instead."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err := command.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
