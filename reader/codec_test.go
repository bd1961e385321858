package reader_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/reader"
)

func TestCodecs(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	t.Run("JSON is the default", func(t *testing.T) {
		value := flight{Number: "LH400", Delay: 15}
		codec(t, f, nil, value, `{"Number":"LH400","Delay":15}`, func(got flight) bool { return got == value })
	})
	t.Run("JSON", func(t *testing.T) {
		codec(t, f, reader.JSON[[]int]{}, []int{1, 2}, `[1,2]`, func(got []int) bool { return len(got) == 2 && got[1] == 2 })
	})
	t.Run("Bytes", func(t *testing.T) {
		codec(t, f, reader.Bytes{}, []byte("\x00\xff\n"), "\x00\xff\n", func(got []byte) bool { return string(got) == "\x00\xff\n" })
	})
	t.Run("Proto", func(t *testing.T) {
		value := wrapperspb.String("LH400")
		codec(t, f, reader.Proto[wrapperspb.StringValue, *wrapperspb.StringValue]{}, value, "\n\x05LH400",
			func(got *wrapperspb.StringValue) bool { return proto.Equal(got, value) })
	})
}

// codec loads a value, looks at the payload that the cache holds then, and reads it back from there.
func codec[T any](t *testing.T, f *table, c reader.Codec[T], value T, payload string, same func(T) bool) {
	t.Helper()
	load := func(_ context.Context, keys []string) (map[string]T, error) { return map[string]T{keys[0]: value}, nil }
	r, err := reader.New(f.config(), reader.Source[T]{Load: load, Codec: c})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, hit := range []bool{false, true} {
		item, err := r.Get(t.Context(), f.key(t.Name()))
		if err != nil || !same(item.Value) || item.Hit != hit {
			t.Errorf("got %+v, %v; want the value, hit %v", item, err, hit)
		}
	}
	f.holds(f.key(t.Name()), payload)
}

// TestWriterAndCodecAgree reads through a codec what a writer has stored.
func TestWriterAndCodecAgree(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	var loads int
	r, err := reader.New(f.config(), flights(&loads))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	f.put(f.key("a"), `{"Number":"LH1","Delay":3}`)
	item, err := r.Get(t.Context(), f.key("a"))
	if err != nil || item.Value != (flight{"LH1", 3}) || loads != 0 {
		t.Errorf("got %+v, %v, %d loads", item, err, loads)
	}
}

// broken is a codec that works in neither direction.
type broken struct{ reader.JSON[flight] }

var errCodec = errors.New("no such letter")

func (broken) Encode(flight) ([]byte, error) { return nil, errCodec }

// muddled is a codec that cannot read what it writes.
type muddled struct{ reader.JSON[flight] }

func (muddled) Decode([]byte) (flight, error) { return flight{}, errCodec }

func TestCodecErrors(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	for name, c := range map[string]struct {
		codec reader.Codec[flight]
		says  string
	}{"encoding": {broken{}, "encoding the value of"}, "decoding": {muddled{}, "decoding the payload"}} {
		t.Run(name, func(t *testing.T) {
			var loads int
			source := flights(&loads)
			source.Codec = c.codec
			r, err := reader.New(f.config(), source)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			key := f.key(name)
			for range 2 { // the second time from the cache, if anything is there
				if _, err := r.Get(t.Context(), key); !errors.Is(err, errCodec) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("Get: %v", err)
				}
				if got, err := r.GetMany(t.Context(), []string{key}); !errors.Is(err, errCodec) || len(got) != 0 {
					t.Errorf("GetMany: %v, %v", got, err)
				}
			}
			if e := f.entry(key); name == "encoding" && e.Kind == cache.Value {
				t.Errorf("the cache holds %+v", e)
			}
		})
	}
}
