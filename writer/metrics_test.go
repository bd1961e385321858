package writer_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tidelock-cache/tidelock/outbox"
)

// TestSettlesAreCounted writes three keys, and finds three changes that were settled, none of which took a minute.
func TestSettlesAreCounted(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	for _, key := range v.numbered(t, 3) {
		_, err := viaPut(t.Context(), v, w, key, "new")
		must(t, err)
	}
	w.Close()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(w.Collector())
	families, err := registry.Gather()
	must(t, err)
	var h *dto.Histogram
	for _, f := range families {
		if f.GetName() == "tidelock_settle_seconds" {
			h = f.Metric[0].GetHistogram()
		}
	}
	if h.GetSampleCount() != 3 || h.GetSampleSum() <= 0 || h.GetSampleSum() > 60 || len(h.Bucket) != len(outbox.AgeBounds) || h.Bucket[len(h.Bucket)-3].GetCumulativeCount() != 3 {
		t.Errorf("three changes were settled, and it tells %v", h)
	}
}
