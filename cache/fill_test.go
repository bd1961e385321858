package cache_test

import (
	"testing"

	"github.com/tidelock-cache/tidelock/cache"
)

func TestFill(t *testing.T) {
	ours := func(c cache.Change) cache.Change { return ticketed(c, old) }
	runRows(t, []row{
		{name: "nothing", fill: true, do: ours(value("", 5, "new")), want: cache.Refused, after: ""},
		{name: "nothing, no ticket", fill: true, do: value("", 5, "new"), want: cache.Refused, after: ""},
		{name: "older value", held: "tl1 V 5\nold", fill: true, do: ours(value("", 6, "new")), want: cache.Applied, after: "tl1 V 6\nnew"},
		{name: "older absence", held: "tl1 A 5\n", fill: true, do: ours(value("", 6, "new")), want: cache.Applied, after: "tl1 V 6\nnew"},
		{name: "same value", held: "tl1 V 5\nold", fill: true, do: ours(value("", 5, "new")), want: cache.Superseded, after: same},
		{name: "newer value", held: "tl1 V 6\nold", fill: true, do: ours(value("", 5, "new")), want: cache.Superseded, after: same},
		{name: "newer beyond 2^53", held: "tl1 V 9007199254740993\nold", fill: true, do: ours(value("", exact, "new")), want: cache.Superseded, after: same},
		{name: "placeholder, above the bound", held: placeholder("5", old), fill: true, do: ours(value("", 6, "new")), want: cache.Applied, after: "tl1 V 6\nnew"},
		{name: "placeholder, at the bound", held: placeholder("5", old), fill: true, do: ours(value("", 5, "new")), want: cache.Applied, after: "tl1 V 5\nnew"},
		{name: "placeholder, version 0", held: placeholder("0", old), fill: true, do: ours(value("", 0, "new")), want: cache.Applied, after: "tl1 V 0\nnew"},
		{name: "placeholder, row absent", held: placeholder("0", old), fill: true, do: ours(absent("", 3)), want: cache.Applied, after: "tl1 A 3\n"},
		{name: "placeholder, below the bound", held: placeholder("6", old), fill: true, do: ours(value("", 5, "new")), want: cache.Refused, after: same},
		{name: "placeholder, another ticket", held: placeholder("5", old), fill: true, do: ticketed(value("", 6, "new"), "OTHER"), want: cache.Refused, after: same},
		{name: "placeholder, part of its token", held: placeholder("5", old), fill: true, do: ticketed(value("", 6, "new"), old[:3]), want: cache.Refused, after: same},
		{name: "placeholder, no ticket", held: placeholder("5", old), fill: true, do: value("", 6, "new"), want: cache.Refused, after: same},
	})
}
