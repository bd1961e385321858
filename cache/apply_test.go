package cache_test

import (
	"testing"

	"github.com/tidelock-cache/tidelock/cache"
)

func TestApplyOntoValue(t *testing.T) {
	runRows(t, []row{
		{name: "older", held: "tl1 V 5\nold", do: value("", 6, "new"), want: cache.Applied, after: "tl1 V 6\nnew"},
		{name: "older with fewer digits", held: "tl1 V 9\nold", do: value("", 10, "new"), want: cache.Applied, after: "tl1 V 10\nnew"},
		{name: "older, to be allocated", held: "tl1 V 5\nold", do: allocated(value("", 6, "new")), want: cache.Applied, after: "tl1 V 6\nnew"},
		{name: "older, row deleted", held: "tl1 V 5\nold", do: absent("", 6), want: cache.Applied, after: "tl1 A 6\n"},
		{name: "same", held: "tl1 V 5\nold", do: value("", 5, "new"), want: cache.Superseded, after: same},
		{name: "newer", held: "tl1 V 6\nold", do: value("", 5, "new"), want: cache.Superseded, after: same},
		{name: "newer with more digits", held: "tl1 V 10\nold", do: value("", 9, "new"), want: cache.Superseded, after: same},
		{name: "newer, to be allocated", held: "tl1 V 6\nold", do: allocated(value("", 5, "new")), want: cache.Superseded, after: same},
		{name: "newer, a ticket shown", held: "tl1 V 6\nold", do: ticketed(value("", 5, "new"), old), want: cache.Superseded, after: same},
		{name: "older beyond 2^53", held: "tl1 V 9007199254740992\nold", do: value("", inexact, "new"), want: cache.Applied, after: "tl1 V 9007199254740993\nnew"},
		{name: "newer beyond 2^53", held: "tl1 V 9007199254740993\nold", do: value("", exact, "new"), want: cache.Superseded, after: same},
		{name: "same beyond 2^53", held: "tl1 V 9007199254740993\nold", do: value("", inexact, "new"), want: cache.Superseded, after: same},
		{name: "older than the largest", held: "tl1 V 9223372036854775806\nold", do: value("", largest, "new"), want: cache.Applied, after: "tl1 V 9223372036854775807\nnew"},
		{name: "empty payload", held: "tl1 V 5\nold", do: value("", 6, ""), want: cache.Applied, after: "tl1 V 6\n"},
		{name: "payload like a header", held: "tl1 V 5\nold", do: value("", 6, "tl1 V 7\n"), want: cache.Applied, after: "tl1 V 6\ntl1 V 7\n"},
		{name: "payload of any bytes", held: "tl1 V 5\nold", do: value("", 6, "\x00\xff\r\n"), want: cache.Applied, after: "tl1 V 6\n\x00\xff\r\n"},
	})
}

func TestApplyOntoAbsent(t *testing.T) {
	runRows(t, []row{
		{name: "older", held: "tl1 A 5\n", do: value("", 6, "new"), want: cache.Applied, after: "tl1 V 6\nnew"},
		{name: "older, row deleted again", held: "tl1 A 5\n", do: absent("", 6), want: cache.Applied, after: "tl1 A 6\n"},
		{name: "same", held: "tl1 A 5\n", do: value("", 5, "new"), want: cache.Superseded, after: same},
		{name: "newer", held: "tl1 A 6\n", do: value("", 5, "new"), want: cache.Superseded, after: same},
	})
}

func TestApplyOntoNothing(t *testing.T) {
	runRows(t, []row{
		{name: "write", do: value("", 5, "new"), want: cache.Settled, after: ""},
		{name: "row deleted", do: absent("", 5), want: cache.Settled, after: ""},
		{name: "a ticket shown", do: ticketed(value("", 5, "new"), old), want: cache.Settled, after: ""},
		{name: "to be allocated", do: allocated(value("", 5, "new")), want: cache.Check, after: placeholder("5", fresh), bears: true},
		{name: "row deleted, to be allocated", do: allocated(absent("", 5)), want: cache.Check, after: placeholder("5", fresh), bears: true},
		{name: "the largest, to be allocated", do: allocated(value("", largest, "new")), want: cache.Check, after: placeholder("9223372036854775807", fresh), bears: true},
	})
}

// TestApplyOntoForeign holds that bytes that are not ours count as nothing: they say nothing of versions, so a delayed apply must not take their place.
func TestApplyOntoForeign(t *testing.T) {
	for name, bytes := range map[string]string{
		"text": "by hand", "another format": "tl9 V 4\nx", "another kind": "tl1 X 4\nx", "no line end": "tl1 V 4",
		"leading zero": "tl1 V 04\nx", "beyond int64": "tl1 V 9223372036854775808\nx", "value with a token": "tl1 V 4 T\nx",
		"placeholder without a token": "tl1 P 4\n", "odd token": "tl1 P 4 T-T\n", "glued token": "tl1 P 4T\n",
	} {
		t.Run(name, func(t *testing.T) {
			runRows(t, []row{
				{name: "write", held: bytes, do: value("", 5, "new"), want: cache.Settled, after: ""},
				{name: "invalidated", held: bytes, do: invalidation("", 5), want: cache.Settled, after: ""},
				{name: "to be allocated", held: bytes, do: allocated(value("", 5, "new")), want: cache.Check, after: placeholder("5", fresh), bears: true},
				{name: "filled", held: bytes, do: ticketed(value("", 5, "new"), old), fill: true, want: cache.Refused, after: same},
			})
		})
	}
}

func TestApplyOntoPlaceholder(t *testing.T) {
	ours := func(c cache.Change) cache.Change { return ticketed(c, old) }
	runRows(t, []row{
		{name: "ours, above the bound", held: placeholder("5", old), do: ours(value("", 6, "new")), want: cache.Applied, after: "tl1 V 6\nnew"},
		{name: "ours, at the bound", held: placeholder("5", old), do: ours(value("", 5, "new")), want: cache.Applied, after: "tl1 V 5\nnew"},
		{name: "ours, bound 0", held: placeholder("0", old), do: ours(value("", 1, "new")), want: cache.Applied, after: "tl1 V 1\nnew"},
		{name: "ours, row deleted", held: placeholder("5", old), do: ours(absent("", 6)), want: cache.Applied, after: "tl1 A 6\n"},
		{name: "ours, below the bound", held: placeholder("6", old), do: ours(value("", 5, "new")), want: cache.Settled, after: same},
		{name: "ours, below the bound beyond 2^53", held: placeholder("9007199254740993", old), do: ours(value("", exact, "new")), want: cache.Settled, after: same},
		{name: "ours, below the bound, to be allocated", held: placeholder("6", old), do: ours(allocated(value("", 5, "new"))), want: cache.Settled, after: same},
		{name: "no ticket, above the bound", held: placeholder("5", old), do: value("", 6, "new"), want: cache.Settled, after: placeholder("6", old)},
		{name: "no ticket, more digits", held: placeholder("9", old), do: value("", 10, "new"), want: cache.Settled, after: placeholder("10", old)},
		{name: "no ticket, at the bound", held: placeholder("5", old), do: value("", 5, "new"), want: cache.Settled, after: same},
		{name: "no ticket, below the bound", held: placeholder("6", old), do: value("", 5, "new"), want: cache.Settled, after: same},
		{name: "another ticket", held: placeholder("5", old), do: ticketed(value("", 6, "new"), "OTHER"), want: cache.Settled, after: placeholder("6", old)},
		{name: "no ticket, to be allocated", held: placeholder("5", old), do: allocated(value("", 6, "new")), want: cache.Check, after: placeholder("6", old), bears: true},
		{name: "no ticket, at the bound, to be allocated", held: placeholder("5", old), do: allocated(value("", 5, "new")), want: cache.Check, after: same, bears: true},
		{name: "no ticket, below the bound, to be allocated", held: placeholder("6", old), do: allocated(value("", 5, "new")), want: cache.Settled, after: same},
		{name: "another ticket, to be allocated", held: placeholder("5", old), do: ticketed(allocated(value("", 6, "new")), "OTHER"), want: cache.Check, after: placeholder("6", old), bears: true},
	})
}

func TestInvalidate(t *testing.T) {
	runRows(t, []row{
		{name: "older value", held: "tl1 V 5\nold", do: invalidation("", 6), want: cache.Settled, after: placeholder("6", fresh)},
		{name: "older absence", held: "tl1 A 5\n", do: invalidation("", 6), want: cache.Settled, after: placeholder("6", fresh)},
		{name: "same value", held: "tl1 V 5\nold", do: invalidation("", 5), want: cache.Superseded, after: same},
		{name: "newer value", held: "tl1 V 6\nold", do: invalidation("", 5), want: cache.Superseded, after: same},
		{name: "nothing", do: invalidation("", 5), want: cache.Settled, after: ""},
		{name: "nothing, to be allocated", do: allocated(invalidation("", 5)), want: cache.Settled, after: ""},
		{name: "placeholder below", held: placeholder("5", old), do: invalidation("", 6), want: cache.Settled, after: placeholder("6", old)},
		{name: "placeholder above", held: placeholder("6", old), do: invalidation("", 5), want: cache.Settled, after: same},
		{name: "placeholder of ours", held: placeholder("5", old), do: ticketed(invalidation("", 6), old), want: cache.Settled, after: placeholder("6", old)},
		{name: "placeholder, to be allocated", held: placeholder("5", old), do: allocated(invalidation("", 6)), want: cache.Settled, after: placeholder("6", old)},
	})
}
