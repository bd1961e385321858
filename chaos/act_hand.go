package chaos

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/chaos/drive"
)

const (
	// handTimeout bounds what is done to Valkey by hand.
	handTimeout = 300 * time.Millisecond
	// headroom is how much more than now Valkey may hold once its memory is limited.
	headroom = 512 << 10
	// ballastKeys of ballastSize bytes are more than that.
	ballastKeys, ballastSize = 200, 8 << 10
	// payloadMax is the largest payload where values are too large.
	payloadMax = 16 << 10
	// handful is how many keys are deleted, retyped or overwritten at a time.
	handful = 4
)

var (
	ballast   = strings.Repeat("b", ballastSize)
	oversized = strings.Repeat("o", 4*payloadMax)
)

// byHand sends commands to Valkey. What comes of them does not matter: the server may well be down at the moment.
func (s *Stage) byHand(ctx context.Context, build func(b valkey.Builder) []valkey.Completed) {
	ctx, cancel := context.WithTimeout(ctx, handTimeout)
	defer cancel()
	client := s.client()
	client.DoMulti(ctx, build(client.B())...)
	s.count()
}

func hand(build func(s *Stage, b valkey.Builder) []valkey.Completed) Fault {
	return func(ctx context.Context, s *Stage) error {
		s.byHand(ctx, func(b valkey.Builder) []valkey.Completed { return build(s, b) })
		return nil
	}
}

var (
	flushAll = hand(func(_ *Stage, b valkey.Builder) []valkey.Completed {
		return []valkey.Completed{b.Flushall().Build()}
	})
	flushScripts = hand(func(_ *Stage, b valkey.Builder) []valkey.Completed {
		return []valkey.Completed{b.ScriptFlush().Build()}
	})
	deleteSome = hand(func(s *Stage, b valkey.Builder) []valkey.Completed {
		return []valkey.Completed{b.Del().Key(s.someKeys()...).Build()}
	})
	retypeSome = hand(func(s *Stage, b valkey.Builder) (all []valkey.Completed) {
		for _, key := range s.someKeys() {
			all = append(all, b.Del().Key(key).Build(), b.Hset().Key(key).FieldValue().FieldValue("type", "another").Build())
		}
		return all
	})
)

// overwriteSome sets keys by hand to what Tidelock did not write.
func overwriteSome(value string) Fault {
	return hand(func(s *Stage, b valkey.Builder) (all []valkey.Completed) {
		for _, key := range s.someKeys() {
			all = append(all, b.Set().Key(key).Value(value).Build())
		}
		return all
	})
}

// limitMemory lets Valkey hold a little more than it does now.
func limitMemory(policy string) Fault {
	return func(ctx context.Context, s *Stage) error {
		ctx, cancel := context.WithTimeout(ctx, handTimeout)
		defer cancel()
		client := s.client()
		info, err := client.Do(ctx, client.B().Info().Section("memory").Build()).ToString()
		if err != nil {
			return nil // it is down
		}
		_, rest, _ := strings.Cut(info, "used_memory:")
		text, _, _ := strings.Cut(rest, "\r\n")
		used, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("reading how much memory valkey uses: %w", err)
		}
		client.Do(ctx, client.B().ConfigSet().ParameterValue().ParameterValue("maxmemory-policy", policy).
			ParameterValue("maxmemory", strconv.Itoa(used+headroom)).Build())
		return nil
	}
}

var (
	// fillMemory writes ballast until Valkey has to evict or to refuse.
	fillMemory = hand(func(s *Stage, b valkey.Builder) (all []valkey.Completed) {
		first := s.rand.IntN(ballastKeys)
		for i := range ballastKeys / 2 {
			all = append(all, b.Set().Key(ballastKey(first+i)).Value(ballast).Build())
		}
		return all
	})
	// freeMemory takes the limit and the ballast away.
	freeMemory = hand(func(_ *Stage, b valkey.Builder) []valkey.Completed {
		keys := make([]string, ballastKeys)
		for i := range keys {
			keys[i] = ballastKey(i)
		}
		return []valkey.Completed{
			b.ConfigSet().ParameterValue().ParameterValue("maxmemory", "0").Build(),
			b.Unlink().Key(keys...).Build(),
		}
	})
)

// someKeys picks a handful of rows' keys; rows of a low number are used most.
func (s *Stage) someKeys() []string {
	keys := make([]string, handful)
	for i := range keys {
		keys[i] = drive.RowKey(s.rand.IntN(1 + s.rand.IntN(1+s.rand.IntN(s.keys))))
	}
	return keys
}

func ballastKey(i int) string { return "ballast:" + strconv.Itoa(i%ballastKeys) }
