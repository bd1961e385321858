package dashboard_test

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tidelock-cache/tidelock/internal/dashboard"
	"github.com/tidelock-cache/tidelock/internal/rig"
)

// TestButtonsInABrowser uses the buttons of a private stack, with the keyboard alone, and looks at the page on a phone.
func TestButtonsInABrowser(t *testing.T) {
	t.Parallel()
	var s *site
	cfg := dashboard.Config{Name: "relay-1", Open: true, Actions: []dashboard.Action{
		{Name: "kill", Label: "Kill Valkey", Usable: func() bool { return s.valkey.Running() }, Do: func(context.Context) error { return s.valkey.Kill() }},
		{Name: "start", Label: "Start it, empty", Usable: func() bool { return !s.valkey.Running() }, Do: func(ctx context.Context) error { return s.valkey.Start(ctx) }},
	}}
	db := rig.DB(t)
	s = newSite(t, db, nil, dashboard.Config{Name: "relay-2"})
	closed := browser(t, s.url)
	until(t, closed, word+` === 'Trusted'`)
	until(t, closed, `['actions', 'inspector', 'token', 'retry-all'].every(id => document.getElementById(id).hidden)`)

	s.url = s.serve(db, cfg)
	page := browser(t, s.url)
	until(t, page, `document.querySelectorAll('#relays tr').length === 2 && `+word+` === 'Trusted'`)
	s.busy()
	until(t, page, `parseFloat(document.querySelectorAll('.chart .value')[0].textContent) > 0`)
	until(t, page, `document.querySelector('#buttons [data-name=kill]').getAttribute('aria-disabled') === 'false'`)
	press := func(name, then string) {
		t.Helper()
		do(t, page, chromedp.Focus("#buttons [data-name="+name+"]"), chromedp.KeyEvent("\r"))
		until(t, page, `document.getElementById('action-outcome').textContent.startsWith('Done')`)
		until(t, page, then)
		if !get(t, page, chromedp.Evaluate[bool](`document.activeElement.dataset.name === '`+name+`'`)) {
			t.Errorf("the focus is gone from %q", name)
		}
	}
	press("kill", word+` === 'Cache down'`)
	press("start", word+` === 'Trusted'`)
	shoot(t, page, "dev")

	do(t, page, chromedp.EmulateViewport(390, 844))
	until(t, page, `document.documentElement.scrollWidth <= 390`)
	shoot(t, page, "phone")
}
