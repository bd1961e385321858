package history

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sample is an operation with every field set by chance, texts that need escaping among them.
func sample(rng *rand.Rand) Op {
	var op Op
	v := reflect.ValueOf(&op).Elem()
	for _, field := range v.Fields() {
		switch field.Kind() {
		case reflect.String:
			field.SetString([]string{"", "w0", "row:17", `a "b" \ c`, "a\nb", "ü", "<&>"}[rng.IntN(7)])
		case reflect.Bool:
			field.SetBool(rng.IntN(2) == 0)
		default:
			field.SetInt([]int64{0, 1, -1, 1 << 62, rng.Int64()}[rng.IntN(5)])
		}
	}
	return op
}

// TestLinesAreJSON holds both fast ways against encoding/json.
func TestLinesAreJSON(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	d := decoder{texts: make(map[string]string)}
	for range 5000 {
		op := sample(rng)
		want, err := json.Marshal(op)
		must(t, err)
		line := appendOp(nil, op)
		if string(line) != string(want) {
			t.Fatalf("appendOp writes %s, encoding/json %s", line, want)
		}
		var got Op
		if err := d.decode(line, &got); err != nil || got != op {
			t.Fatalf("%s becomes %+v, %v", line, got, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		f.Add(appendOp(nil, sample(rng)))
	}
	for _, line := range []string{`{}`, `{"c":01}`, `{"c":-0,}`, `{"hit":false}`, `{"p":"a","p":"b"}`, `{"P":"a"}`, `{"b":9223372036854775808}`, `null`} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var want Op
		bad := json.Unmarshal(line, &want)
		d := decoder{texts: make(map[string]string)}
		var got Op
		if err := d.decode(line, &got); (err == nil) != (bad == nil) || err == nil && got != want {
			t.Errorf("%s becomes %+v, %v; for encoding/json %+v, %v", line, got, err, want, bad)
		}
	})
}

func TestBeginAndReturnAreJoined(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := NewRecorder(dir, "w0")
	must(t, err)
	ops := []Op{{Process: "w0", Kind: Write, Key: "row:1", ID: 1, Begin: 30}, {Process: "w0", Client: 1, Kind: Delete, Key: "row:2", ID: 2, Begin: 20}}
	must(t, r.Begin(ops...))
	read := Op{Process: "w0", Client: 2, Kind: Read, Key: "row:1", Level: Default, Begin: 10, End: 11, Outcome: OK}
	must(t, r.Return(read))
	done := ops[0]
	done.N, done.Version, done.End, done.Outcome = 5, 7, 40, OK
	must(t, r.Return(done))
	must(t, r.Close())

	got, err := Load(dir)
	lost := ops[1]
	lost.Outcome = Unknown
	if want := []Op{read, lost, done}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTornLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	begin := appendOp(nil, Op{Process: "w0", Kind: Write, Key: "row:1", ID: 1, Begin: 1, Outcome: Unknown})
	end := appendOp(nil, Op{Process: "w0", Kind: Write, Key: "row:1", ID: 1, Begin: 1, End: 2, Outcome: OK})
	text := string(begin) + "\n" + string(end)
	for cut := len(begin) + 1; cut <= len(text); cut++ {
		must(t, os.WriteFile(filepath.Join(dir, "w0-1.ops.jsonl"), []byte(text[:cut]), 0o600))
		if ops, err := Load(dir); err != nil || len(ops) != 1 || ops[0].Outcome != Unknown || ops[0].End != 0 {
			t.Fatalf("cut at %d: %+v, %v", cut, ops, err)
		}
	}
}

func TestBrokenHistories(t *testing.T) {
	t.Parallel()
	begin := string(appendOp(nil, Op{Kind: Write, ID: 1, Outcome: Unknown})) + "\n"
	end := string(appendOp(nil, Op{Kind: Write, ID: 1, End: 2, Outcome: OK})) + "\n"
	for text, want := range map[string]string{
		begin + "garbage\n" + end: "line 2: reading an operation",
		begin + begin:             "write 1 begins twice",
		end:                       "write 1 returns and did not begin",
	} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "w0-1.ops.jsonl"), []byte(text), 0o600))
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v", text, err)
		}
	}
}

func TestOneFileALife(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := NewRecorder(dir, "w0")
	must(t, err)
	defer r.Close()
	if _, err := NewRecorder(dir, "w0"); err == nil {
		t.Error("two recorders share a file")
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if events, err := LoadEvents(dir); err != nil || len(events) != 0 {
		t.Errorf("of no file come %v, %v", events, err)
	}
	killed, back := Event{At: 5, Name: "valkey killed", Begin: true, Rollback: true}, Event{At: 9, Name: "valkey killed"}
	must(t, RecordEvent(dir, back))
	must(t, RecordEvent(dir, killed))
	if events, err := LoadEvents(dir); err != nil || !slices.Equal(events, []Event{killed, back}) {
		t.Errorf("got %v, %v", events, err)
	}
}

func TestClockRises(t *testing.T) {
	t.Parallel()
	last := Now()
	for range 1000 {
		if now := Now(); now < last || now <= 0 {
			t.Fatalf("%d comes after %d", now, last)
		} else {
			last = now
		}
	}
}

// usual is an operation as most are.
func usual(i int64) Op {
	return Op{Process: "r0", Client: 7, Kind: Read, Key: fmt.Sprintf("row:%d", i%1000), Level: Session, ID: 1<<44 + i, N: i, Version: 3 * i, Need: 2 * i, Hit: true,
		Begin: 1e15 + 1000*i, End: 1e15 + 1000*i + 500, Outcome: OK}
}

func BenchmarkRecord(b *testing.B) {
	r, err := NewRecorder(b.TempDir(), "r0")
	must(b, err)
	defer r.Close()
	op := usual(12345)
	for b.Loop() {
		must(b, r.Return(op))
	}
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		Now()
	}
}

func BenchmarkLoad(b *testing.B) {
	const ops = 1_000_000
	dir := b.TempDir()
	r, err := NewRecorder(dir, "r0")
	must(b, err)
	for i := range int64(ops) {
		must(b, r.Return(usual(i^15))) // not quite in order
	}
	must(b, r.Close())
	for b.Loop() {
		if got, err := Load(dir); err != nil || len(got) != ops {
			b.Fatal(len(got), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/ops, "ns/op-loaded")
}
