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
	"github.com/tidelock-cache/tidelock/outbox"
)

type inspectCmd struct {
	Key  string `arg:"" help:"The cache key."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// inspection is what is known of a key.
type inspection struct {
	Key     string        `json:"key"`
	Entry   *entryView    `json:"entry"` // nil: the cache holds nothing of ours
	Cache   string        `json:"cache_error,omitempty"`
	Version int64         `json:"version"` // 0: never written, or forgotten long after its last write
	Records []outbox.Item `json:"records"`
	Verdict string        `json:"verdict"`
}

type entryView struct {
	Kind    string        `json:"kind"`
	Version int64         `json:"version"`
	TTL     time.Duration `json:"ttl_ns"`
	Payload string        `json:"payload,omitempty"`
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
	in := inspection{Key: c.Key}
	err = onDatabase(ctx, s, func(ctx context.Context, db outbox.DB) error {
		// The entry first: what Postgres says afterwards can only be newer.
		in.entry(ctx, valkey)
		return in.database(ctx, db)
	})
	if err != nil {
		return err
	}
	in.Verdict = in.verdict()
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(in)
	}
	return in.print()
}

func (in *inspection) entry(ctx context.Context, valkey *cache.Cache) {
	e, err := valkey.Get(ctx, in.Key)
	if err != nil {
		in.Cache = err.Error()
		return
	}
	if e.Kind == cache.None {
		return
	}
	kind := map[cache.Kind]string{cache.Value: "value", cache.Absent: "absent", cache.Placeholder: "placeholder"}[e.Kind]
	in.Entry = &entryView{Kind: kind, Version: e.Version, Payload: string(e.Payload)}
	if ttl, err := valkey.TTL(ctx, in.Key); err == nil {
		in.Entry.TTL = ttl
	}
}

func (in *inspection) database(ctx context.Context, db outbox.DB) error {
	versions, err := outbox.Latest(ctx, db, []string{in.Key})
	if err != nil {
		return err
	}
	in.Version = versions[in.Key]
	in.Records, err = outbox.List(ctx, db, outbox.Filter{Key: in.Key}, 20)
	return err
}

func (in *inspection) verdict() string {
	pending := false
	for _, r := range in.Records {
		pending = pending || r.Aside == ""
	}
	switch {
	case in.Cache != "":
		return "unknown: the cache did not answer"
	case in.Entry == nil || in.Entry.Kind == "placeholder":
		return "consistent: the cache serves nothing, the next read loads the row"
	case in.Version == 0 || in.Entry.Version >= in.Version:
		return "consistent: the cache holds the latest version"
	case pending:
		return "behind: the cache holds an older version, and a record waits to mend it"
	default:
		return "behind, and no record waits: look again, a write may be under way; if it stays so, report it"
	}
}

func (in *inspection) print() error {
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
