package reader_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/reader"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	for field, c := range map[string]struct {
		change func(*reader.Config)
		says   string
	}{
		"Cache":       {func(c *reader.Config) { c.Cache = nil }, "Cache is nil"},
		"DB":          {func(c *reader.Config) { c.DB = nil }, "DB is nil"},
		"Load":        {func(c *reader.Config) { c.Load = nil }, "Load is nil"},
		"Loads":       {func(c *reader.Config) { c.Loads = -1 }, "Loads is -1"},
		"LoadTimeout": {func(c *reader.Config) { c.LoadTimeout = -time.Second }, "LoadTimeout is -1s"},
		"TTL":         {func(c *reader.Config) { c.TTL = time.Microsecond }, "reader: TTL: invalid TTL 1µs"},
		"TTL, long":   {func(c *reader.Config) { c.TTL = 365 * 24 * time.Hour }, "reader: TTL: invalid TTL"},
		"AbsentTTL":   {func(c *reader.Config) { c.AbsentTTL = -time.Second }, "reader: AbsentTTL: invalid TTL -1s"},
		"all are good": {func(c *reader.Config) {
			c.TTL, c.AbsentTTL, c.Loads, c.LoadTimeout = time.Minute, time.Second, 1, time.Second
		}, ""},
	} {
		t.Run(field, func(t *testing.T) {
			cfg := f.config()
			cfg.Load = f.load
			c.change(&cfg)
			r, err := reader.NewRaw(cfg)
			says(t, err, c.says)
			if err == nil {
				r.Close()
			}
		})
	}
}

func TestTypedSettings(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	var loads int
	both := f.config()
	both.Load = f.load
	_, err := reader.New(both, flights(&loads))
	says(t, err, "Config.Load is set")
	_, err = reader.New(f.config(), reader.Source[flight]{})
	says(t, err, "Source.Load is nil")
	bad := f.config()
	bad.DB = nil
	r, err := reader.New(bad, reader.Source[flight]{Load: func(context.Context, []string) (map[string]flight, error) { return nil, nil }})
	says(t, err, "DB is nil")
	if r != nil {
		t.Errorf("a reader came with the error: %v", r)
	}
}

// says checks an error's text; "" means that there must be none.
func says(t *testing.T, err error, text string) {
	t.Helper()
	switch {
	case text == "" && err != nil:
		t.Errorf("the error is %v, want none", err)
	case text != "" && (err == nil || !strings.Contains(err.Error(), text)):
		t.Errorf("the error is %v, want one that says %q", err, text)
	}
}
