package subject

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPgbenchOutput(t *testing.T) {
	got, err := pgbenchRate("latency average = 2.5 ms\ntps = 1234.567 (without initial connection time)\n")
	if err != nil || got != 1234.567 {
		t.Errorf("the rate is %v, %v", got, err)
	}
	if got, err := pgbenchRate("number of transactions actually processed: 0\nnumber of failed transactions: 0 (NaN%)\n"); err != nil || got != 0 {
		t.Errorf("the rate of nothing done is %v, %v", got, err)
	}
	if _, err := pgbenchRate("nothing"); err == nil {
		t.Error("no rate is taken for one")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"log.1": "0 1 300 0 1700000000 1\n1 1 100 0 1700000000 2\n", "log.1.1": "2 1 200 0 1700000000 3\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	times, err := pgbenchTimes(filepath.Join(dir, "log.*"))
	if err != nil {
		t.Fatal(err)
	}
	if p50, p99 := quantile(times, 0.5), quantile(times, 0.99); p50 != 200*time.Microsecond || p99 != 300*time.Microsecond {
		t.Errorf("p50 %v, p99 %v", p50, p99)
	}
}
