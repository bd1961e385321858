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

// TestPageInABrowser goes with one page through the life of a cache: empty, busy, with Valkey down, recovering, and without its relay.
func TestPageInABrowser(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	gated, repairs := rig.Gated(t, db, rig.Before, "repair_from = NULL")
	repairs.Skip(1 << 20)
	s := newSite(t, db, gated, dashboard.Config{Name: "relay-1", Token: token, Row: func(ctx context.Context, key string) (row string, err error) {
		err = db.QueryRow(ctx, `SELECT coalesce((SELECT value FROM flights WHERE key = $1), '')`, key).Scan(&row)
		return row, err
	}})
	page := browser(t, s.url)
	until(t, page, word+` === 'Trusted'`)
	until(t, page, `document.getElementById('audit').textContent.includes('compared')`)
	shoot(t, page, "empty")
	signIn(t, page)

	s.busy()
	s.setAside(`<img src="x" onerror="document.title = 'fooled'">`, "a payload of 2097152 bytes is over the limit of 1048576 bytes")
	until(t, page, `document.getElementById('records').textContent.includes('over the limit')`)
	until(t, page, `parseFloat(document.querySelectorAll('.chart .value')[0].textContent) > 0`)
	look(t, page, "flight:3")
	until(t, page, `document.querySelectorAll('#history li').length > 2`)
	until(t, page, word+` === 'Trusted'`)
	shoot(t, page, "busy")
	accessible(t, page)

	repairs.Skip(0)
	if err := s.valkey.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, page, word+` === 'Cache down'`)
	until(t, page, `document.querySelectorAll('#records tr').length > 5 && document.body.dataset.level === 'bad'`)
	shoot(t, page, "valkey-down")

	if err := s.valkey.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, page, word+` === 'Repairing'`)
	until(t, page, `document.getElementById('timeline').textContent.includes('A repair is under way')`)
	shoot(t, page, "recovering")
	repairs.Open()
	until(t, page, word+` === 'Trusted'`)
	do(t, page, chromedp.Click("#retry-all"))
	until(t, page, `document.getElementById('retry-outcome').textContent.includes('back in line')`)

	s.stop()
	until(t, page, word+` === 'No news' && document.title.startsWith('No news')`)
}

// accessible looks for what keeps somebody from using the page who does not see it or has no mouse, and for what it loads from elsewhere.
func accessible(t *testing.T, page context.Context) {
	t.Helper()
	faults := get(t, page, chromedp.Evaluate[[]string](`(() => {
		const faults = [], seen = e => e.checkVisibility(), all = s => [...document.querySelectorAll(s)].filter(seen);
		const named = e => e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('alt') !== null || e.labels?.length;
		all('button, a, input, svg[role=img], img, summary').filter(e => !named(e)).forEach(e => faults.push('without a name: ' + e.outerHTML));
		all('section').filter(e => !document.getElementById(e.getAttribute('aria-labelledby'))).forEach(e => faults.push('a section without a heading: ' + e.className));
		all('table').filter(e => !e.querySelector('th[scope]')).forEach(e => faults.push('a table without headings: ' + e.id));
		all('svg').filter(e => !e.matches('[role=img], [aria-hidden=true], [aria-hidden=true] *')).forEach(e => faults.push('a drawing that is not spoken of: ' + e.outerHTML));
		if (all('h1').length !== 1 || !document.querySelector('main') || !document.documentElement.lang) faults.push('no outline');
		if (!document.querySelector('.verdict[aria-live=polite]')) faults.push('the state is not announced');
		if (document.querySelectorAll('.chart details table').length !== 6) faults.push('a chart without a table');
		if (document.title.includes('fooled') || document.querySelector('#records img')) faults.push('text has become markup');
		performance.getEntriesByType('resource').filter(e => !e.name.startsWith(location.origin)).forEach(e => faults.push('loaded from elsewhere: ' + e.name));
		if (document.documentElement.scrollWidth > innerWidth) faults.push('it is too wide');
		document.activeElement.blur();
		return faults;
	})()`))
	for _, fault := range faults {
		t.Error(fault)
	}
	do(t, page, chromedp.KeyEvent("\t"))
	if got := get(t, page, chromedp.Evaluate[bool](`document.activeElement !== document.body && document.activeElement.matches(':focus-visible')`)); !got {
		t.Error("a key does not bring the focus into the page, for everyone to see")
	}
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
	do(t, page, chromedp.SendKeys("#key", key+"\r"))
	until(t, page, `document.getElementById('key-verdict').textContent.startsWith('consistent')`)
}

// busy writes and reads until stop is called.
func (s *site) busy() (stop func()) {
	if _, err := s.db.Exec(s.t.Context(), `CREATE TABLE flights (key text PRIMARY KEY, value text NOT NULL)`); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	var work sync.WaitGroup
	for n := range 4 {
		work.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key, row := fmt.Sprintf("flight:%d", (i*7+n)%40), fmt.Sprintf(`{"delay": %d}`, i)
				_, _ = s.writer.Write(ctx, func(ctx context.Context, tx *writer.Tx) error {
					_, err := tx.Exec(ctx, `INSERT INTO flights VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, row)
					return err
				}, writer.Set(key, []byte(row)))
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
	servers, err := outbox.Servers(s.t.Context(), s.db)
	if err != nil || len(servers) != 1 {
		s.t.Fatalf("%d servers on record, %v", len(servers), err)
	}
	record := outbox.Settled{Key: key, Version: result.Version(), Server: servers[0].RunID, Reason: reason}
	if err := outbox.SetAside(s.t.Context(), s.db, []outbox.Settled{record}); err != nil {
		s.t.Fatal(err)
	}
	return result.Version()
}
