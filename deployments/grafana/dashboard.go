package main

import (
	"fmt"
	"slices"
	"strings"
)

// object is a JSON object, whose keys are written in their order.
type object = map[string]any

var source = object{"type": "prometheus", "uid": "${source}"}

// build makes the dashboard of rows.
func build(table map[string]string) (object, error) {
	var panels []object
	y := 0
	add := func(p object) {
		p["id"] = len(panels) + 1
		panels = append(panels, p)
	}
	for _, r := range rows {
		add(object{"type": "row", "title": r.title, "collapsed": false, "panels": []object{}, "gridPos": grid(0, y, 24, 1)})
		y++
		x := 0
		for _, p := range r.panels {
			if x+p.width > 24 {
				x, y = 0, y+r.height
			}
			made, err := p.build(table)
			if err != nil {
				return nil, err
			}
			made["gridPos"] = grid(x, y, p.width, r.height)
			add(made)
			x += p.width
		}
		y += r.height
	}
	return object{
		"uid": "tidelock", "title": "Tidelock", "tags": []string{"tidelock"}, "editable": true, "graphTooltip": 1, "schemaVersion": 39, "version": 1,
		"refresh": "15s", "time": object{"from": "now-1h", "to": "now"}, "timezone": "", "panels": panels,
		"templating": object{"list": []object{
			{"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus", "current": object{}, "hide": 0},
			jobs("job", "Relays", "tidelock_outbox_pending"),
			jobs("serve", "HTTP API", "tidelock_http_requests_total"),
		}},
	}, nil
}

// jobs is a variable: one of the jobs, or all, that tell a metric.
func jobs(name, label, metric string) object {
	query := "label_values(" + metric + ", job)"
	return object{"name": name, "label": label, "type": "query", "datasource": source, "query": query, "definition": query, "refresh": 2, "sort": 1,
		"includeAll": true, "multi": false, "current": object{"text": "All", "value": "$__all"}, "hide": 0}
}

func grid(x, y, w, h int) object { return object{"x": x, "y": y, "w": w, "h": h} }

// build makes one panel. What is said of its metrics is from the table.
func (p panel) build(table map[string]string) (object, error) {
	var targets []object
	var said []string
	for i, q := range p.queries {
		targets = append(targets, object{"refId": string(rune('A' + i)), "datasource": source, "expr": q.expr, "legendFormat": q.legend, "range": p.kind != stat,
			"instant": p.kind == stat, "editorMode": "code"})
		for _, name := range metricName.FindAllString(q.expr, -1) {
			means := help(table, name)
			if means == "" {
				return nil, fmt.Errorf("the panel %q shows %s, which the table of metrics lacks", p.title, name)
			}
			if !slices.Contains(said, means) {
				said = append(said, means)
			}
		}
	}
	made := object{"type": p.kind, "title": p.title, "datasource": source, "targets": targets, "description": strings.Join(said, " "),
		"fieldConfig": object{"defaults": p.defaults(), "overrides": []object{}}, "options": p.options()}
	return made, nil
}

// defaults are the unit of a panel's values and where they are a fault.
func (p panel) defaults() object {
	steps := []object{{"color": "green", "value": nil}}
	switch {
	case p.low:
		steps = []object{{"color": "red", "value": nil}, {"color": "green", "value": p.bad}}
	case p.bad > 0:
		steps = append(steps, object{"color": "red", "value": p.bad})
	case p.kind == phase:
		steps = []object{{"color": "transparent", "value": nil}, {"color": "blue", "value": 1}}
	}
	d := object{"unit": p.unit, "min": 0, "thresholds": object{"mode": "absolute", "steps": steps}}
	if p.kind != graph {
		d["color"] = object{"mode": "thresholds"}
	}
	switch {
	case p.unit == "percentunit":
		delete(d, "min") // nines are told apart near the top alone
	case p.kind == graph && p.bad > 0:
		d["custom"] = object{"thresholdsStyle": object{"mode": "line"}}
	}
	return d
}

func (p panel) options() object {
	switch p.kind {
	case stat:
		return object{"colorMode": "background", "graphMode": "none", "reduceOptions": object{"calcs": []string{"lastNotNull"}}}
	case phase:
		return object{"showValue": "never", "mergeValues": true, "legend": object{"showLegend": true, "placement": "bottom"}}
	default:
		return object{"legend": object{"showLegend": true, "placement": "bottom"}, "tooltip": object{"mode": "multi"}}
	}
}
