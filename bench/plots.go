package main

import (
	"fmt"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"github.com/tidelock-cache/tidelock/bench/turns"
)

// point is a figure at a size or a time.
type point struct{ x, y float64 }

// line is a subject's figures.
type line struct {
	name   string
	points []point
}

// lines are what these subjects did a second at each size.
func lines(all []sized, names ...string) []line {
	drawn := make([]line, len(names))
	for i, name := range names {
		drawn[i].name = name
		for _, at := range all {
			for _, s := range at.series {
				if s.Subject == name {
					drawn[i].points = append(drawn[i].points, point{at.size, s.Of(turns.PerSecond).Median})
				}
			}
		}
	}
	return drawn
}

// draw leaves a picture of lines over sizes, both on a logarithmic scale where they span more than a power of ten.
func (b *bench) draw(name, title, xTitle string, drawn []line) error {
	return b.drawScaled(name, title, xTitle, "a second", true, drawn)
}

func (b *bench) drawScaled(name, title, xTitle, yTitle string, byTens bool, drawn []line) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, xTitle, yTitle
	p.Legend.Top, p.Legend.Left = true, true // a browser's letters are wider than those that were measured
	p.Add(plotter.NewGrid())
	low, high := 0.0, 0.0
	for i, l := range drawn {
		var xys plotter.XYs
		for _, at := range l.points {
			if at.y <= 0 { // nothing was done, of which a logarithm knows nothing
				continue
			}
			xys = append(xys, plotter.XY{X: at.x, Y: at.y})
			if low == 0 || at.y < low {
				low = at.y
			}
			high = max(high, at.y)
		}
		if len(xys) == 0 {
			continue
		}
		curve, dots, err := plotter.NewLinePoints(xys)
		if err != nil {
			return fmt.Errorf("drawing %s: %w", name, err)
		}
		curve.Color, dots.Color = plotutil.Color(i), plotutil.Color(i)
		curve.Dashes, dots.Shape = plotutil.Dashes(i%2), plotutil.Shape(i)
		p.Add(curve, dots)
		p.Legend.Add(l.name, curve, dots)
	}
	p.Y.Min, p.Y.Max = 0, high*1.3
	if byTens {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		if low > 0 && high/low > 10 {
			p.Y.Min, p.Y.Max = low/2, high*6
			p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		}
	}
	if err := os.MkdirAll(b.cfg.Out, 0o755); err != nil {
		return err
	}
	return p.Save(7*vg.Inch, 4*vg.Inch, filepath.Join(b.cfg.Out, name+".svg"))
}
