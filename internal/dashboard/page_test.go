package dashboard_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/dashboard"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/writer"
)

// word is a JavaScript expression for what the page says of the cache.
const word = `document.getElementById('word').textContent`

// TestPageInABrowser goes with one page through the life of a cache: empty, busy, with Valkey down, and recovering.
func TestPageInABrowser(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	gated, repairs := rig.Gated(t, db, rig.Before, "repair_from = NULL")
	s := newSite(t, db, gated, dashboard.Config{Name: "relay-1", Token: token})
	repairs.Open()
	page := browser(t, s.url)
	until(t, page, word+` === 'Trusted'`)
	until(t, page, `document.getElementById('audit').textContent.includes('compared')`)
	shoot(t, page, "empty")
	signIn(t, page)

	stop := s.busy()
	until(t, page, `document.querySelectorAll('.chart .value')[0].textContent !== '0 /s'`)
	s.setAside("flight:7", "payload of 2097152 bytes is over the limit of 1048576 bytes")
	until(t, page, `document.getElementById('records').textContent.includes('over the limit')`)
	look(t, page, "flight:3")
	shoot(t, page, "busy")

	if err := s.valkey.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, page, word+` === 'Cache down'`)
	until(t, page, `document.querySelectorAll('#records tr').length > 5`)
	shoot(t, page, "valkey-down")
	_ = stop
	stop()
}

// signIn gives the admin token, with the keyboard alone.
func signIn(t *testing.T, page context.Context) {
	t.Helper()
	do(t, page, chromedp.Focus("#token-input"), chromedp.SendKeys("#token-input", token+"\r"))
	until(t, page, `!document.getElementById('inspector').hidden && document.activeElement.id === 'key'`)
}

// look looks at a key.
func look(t *testing.T, page context.Context, key string) {
	t.Helper()
	do(t, page, chromedp.SetValue("#key", ""), chromedp.SendKeys("#key", key+"\r"))
	until(t, page, `document.getElementById('key-verdict').textContent.startsWith('consistent')`)
}

// busy writes and reads until stop is called.
func (s *site) busy() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var work sync.WaitGroup
	for n := range 4 {
		work.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("flight:%d", (i*7+n)%40)
				_, _ = s.writer.Write(ctx, func(context.Context, *writer.Tx) error { return nil }, writer.Set(key, fmt.Appendf(nil, `{"delay": %d}`, i)))
				for j := range 5 {
					_, _ = s.cache.Get(ctx, fmt.Sprintf("flight:%d", (i+j)%60))
				}
				select {
				case <-ctx.Done():
				case <-time.After(50 * time.Millisecond):
				}
			}
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		work.Wait()
	})
	s.t.Cleanup(stop)
	return stop
}

// setAside leaves a record that was set aside, as a relay would that cannot store its value.
func (s *site) setAside(key, reason string) int64 {
	s.t.Helper()
	dead := rig.Cache(s.t, "valkey://127.0.0.1:1", func(c *cache.Config) { c.Timeout = 10 * time.Millisecond })
	w := rig.Writer(s.t, writer.Config{DB: s.db, Cache: dead, Grace: time.Hour})
	result, err := w.Write(s.t.Context(), func(context.Context, *writer.Tx) error { return nil }, writer.Set(key, []byte("too large")))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := outbox.SetAside(s.t.Context(), s.db, []outbox.Settled{{Key: key, Version: result.Version(), Reason: reason}}); err != nil {
		s.t.Fatal(err)
	}
	return result.Version()
}
