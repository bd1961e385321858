package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/inspect"
	"github.com/tidelock-cache/tidelock/outbox"
)

type inspectCmd struct {
	Key  string `arg:"" help:"The cache key."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run prints what Valkey and Postgres know of the key.
func (c inspectCmd) Run(ctx context.Context, s *Settings) error {
	if err := cache.CheckKey(c.Key); err != nil {
		return err
	}
	valkey, err := s.cache(ctx, time.Second, zap.NewNop())
	if err != nil {
		return err
	}
	defer valkey.Close()
	var in inspect.Inspection
	err = onDatabase(ctx, s, func(ctx context.Context, db outbox.DB) (err error) {
		in, err = inspect.Key(ctx, db, valkey, c.Key)
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(in)
	}
	return printInspection(in)
}

func printInspection(in inspect.Inspection) error {
	fmt.Printf("key       %s\n", in.Key)
	switch e := in.Entry; {
	case in.Cache != "":
		fmt.Printf("cache     no answer: %s\n", in.Cache)
	case e == nil:
		fmt.Println("cache     nothing of ours")
	default:
		fmt.Printf("cache     %s, version %d, %d bytes, expires in %v\n", e.Kind, e.Version, len(e.Payload), e.TTL.Round(time.Second))
		if len(e.Payload) > 0 {
			fmt.Printf("          %s\n", preview(e.Payload))
		}
	}
	if in.Version == 0 {
		fmt.Println("postgres  no version: never written through Tidelock, or not for a long time")
	} else {
		fmt.Printf("postgres  version %d\n", in.Version)
	}
	fmt.Printf("records   %d\n", len(in.Records))
	if len(in.Records) > 0 {
		if err := printItems(in.Records); err != nil {
			return err
		}
	}
	fmt.Printf("verdict   %s\n", in.Verdict)
	return nil
}

// preview shows a payload on one line without letting it play with the terminal.
func preview(b string) string {
	const most = 200
	text := strconv.QuoteToGraphic(b[:min(len(b), most)])
	text = text[1 : len(text)-1]
	if len(b) > most {
		text += "…"
	}
	return text
}
