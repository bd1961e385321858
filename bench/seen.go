package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/bench/turns"
	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/writer"
)

// seenKey and its twin are what the watcher looks at. The row has the number 0.
const (
	seenKey     = "seen:tide"
	seenHandKey = "seen:hand"
)

// watchCmd is another process that reads: for each value that it sees for the first time it prints the value and when that was, by a clock that
// all processes share.
type watchCmd struct {
	Valkey string `arg:""`
	Ours   bool   `help:"Read with Tidelock."`
}

// watchEvery is the pause between two reads, so that watching does not take the processors from what is watched.
const watchEvery = 50 * time.Microsecond

// Run watches until it is told to stop.
func (c *watchCmd) Run(ctx context.Context) error {
	look, done, err := c.looker(ctx)
	if err != nil {
		return err
	}
	defer done()
	last := ""
	for ctx.Err() == nil {
		text, err := look(ctx)
		if err != nil {
			return err
		}
		if text != last {
			fmt.Printf("%s %d\n", text, lease.Now())
			last = text
		}
		time.Sleep(watchEvery)
	}
	return nil
}

func (c *watchCmd) looker(ctx context.Context) (look func(context.Context) (string, error), done func(), err error) {
	if c.Ours {
		held, err := cache.New(ctx, cache.Config{URL: c.Valkey, Timeout: 2 * time.Second})
		if err != nil {
			return nil, nil, err
		}
		r, err := reader.NewRaw(reader.Config{Cache: held, DB: noDB{}, Load: func(context.Context, []string) (map[string][]byte, error) {
			return nil, errNoDB
		}})
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) (string, error) {
			p, err := r.Get(ctx, seenKey)
			return string(p.Bytes), err
		}, held.Close, nil
	}
	option, err := valkey.ParseURL(c.Valkey)
	if err != nil {
		return nil, nil, err
	}
	option.DisableCache = true
	client, err := valkey.NewClient(option)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) (string, error) {
		return client.Do(ctx, client.B().Get().Key(seenHandKey).Build()).ToString()
	}, client.Close, nil
}

var errNoDB = errors.New("the watcher reads from the cache alone")

// noDB is for a reader that only has hits.
type noDB struct{}

// Query fails.
func (noDB) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, errNoDB }

// seen measures how long after the begin of a write another process reads what was written: with Put, with an UPDATE and a SET by hand, and
// beside them how long the UPDATE alone takes. A lone writer, so what is measured is the path and no queue.
func (b *bench) seen(ctx context.Context) error {
	if err := b.site.Fill(ctx, 16, 130); err != nil {
		return err
	}
	put := func(ctx context.Context, value string) error {
		_, err := b.ours.Writer().Put(ctx, writer.Put{Key: seenKey, SQL: "UPDATE items SET body = $2 WHERE id = $1 RETURNING body", Args: []any{0, value}})
		return err
	}
	hand := func(ctx context.Context, value string) error {
		if _, err := b.site.DB.Exec(ctx, "UPDATE items SET body = $2 WHERE id = $1", 1, value); err != nil {
			return err
		}
		return b.site.Valkey.Do(ctx, b.site.Valkey.B().Set().Key(seenHandKey).Value(value).Build()).Error()
	}
	ours, err := b.watch(ctx, "seen.put", put, "--ours")
	if err != nil {
		return err
	}
	defer ours.stop()
	theirs, err := b.watch(ctx, "seen.by_hand", hand)
	if err != nil {
		return err
	}
	defer theirs.stop()
	var alone []float64
	for i := range b.cfg.Writes {
		if err := ours.once(ctx, i); err != nil {
			return err
		}
		if err := theirs.once(ctx, i); err != nil {
			return err
		}
		began := lease.Now()
		if _, err := b.site.DB.Exec(ctx, "UPDATE items SET body = $2 WHERE id = $1", 2, strconv.Itoa(i)); err != nil {
			return err
		}
		alone = append(alone, micro(lease.Now()-began))
	}
	b.seenFigures(ours.times, theirs.times, alone)
	return b.save()
}

func (b *bench) seenFigures(ours, theirs, alone []float64) {
	put, hand, update := turns.SpreadOf(ours).Median, turns.SpreadOf(theirs).Median, turns.SpreadOf(alone).Median
	b.results.Set("seen.put_p50_us", put)
	b.results.Set("seen.by_hand_p50_us", hand)
	b.results.Set("seen.update_alone_p50_us", update)
	b.results.Set("seen.put_above_update_p50_us", put-update)
	b.results.Set("seen.by_hand_above_update_p50_us", hand-update)
	fmt.Fprintf(b.table.out, "\nseen by another process, p50 since the begin of the write: Put %s, by hand %s; the UPDATE alone takes %s\n",
		micros(put), micros(hand), micros(update))
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// watched is a way to write and a process that looks out for what is written.
type watched struct {
	write func(ctx context.Context, value string) error
	lines chan string
	stop  func()
	times []float64 // microseconds
}

func (b *bench) watch(ctx context.Context, name string, write func(context.Context, string) error, flags ...string) (*watched, error) {
	if err := write(ctx, "first"); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"watch", b.site.Stack.Valkey.URL()}, flags...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the watcher of %s: %w", name, err)
	}
	w := &watched{write: write, lines: make(chan string, 16)}
	go func() {
		defer close(w.lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			w.lines <- scan.Text()
		}
	}()
	w.stop = func() {
		_ = cmd.Process.Kill()
		for range w.lines { // until the reader has ended
		}
		_ = cmd.Wait()
	}
	_, err = w.next(ctx, "first")
	return w, err
}

// once writes a new value and notes how long it took until the watcher saw it.
func (w *watched) once(ctx context.Context, i int) error {
	value := strconv.Itoa(i)
	began := lease.Now()
	if err := w.write(ctx, value); err != nil {
		return err
	}
	at, err := w.next(ctx, value)
	w.times = append(w.times, micro(at-began))
	return err
}

// next waits until the watcher has seen the value and returns when.
func (w *watched) next(ctx context.Context, value string) (time.Duration, error) {
	for {
		select {
		case line, ok := <-w.lines:
			if !ok {
				return 0, errors.New("the watcher has ended")
			}
			text, at, _ := strings.Cut(line, " ")
			if text != value {
				continue
			}
			ns, err := strconv.ParseInt(at, 10, 64)
			return time.Duration(ns), err
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Minute):
			return 0, fmt.Errorf("the watcher has not seen %q", value)
		}
	}
}
