package drive

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"
	"go.uber.org/zap"
)

var (
	errMiss = errors.New("the cache does not hold the key")
	errDown = errors.New("the cache has never been reached")
)

// store is Valkey as teams use it, with the client's settings that package cache has.
type store struct {
	option  valkey.ClientOption
	client  atomic.Pointer[valkey.Client] // nil until the first connection
	timeout time.Duration
	ttl     time.Duration
	log     *zap.Logger
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// openStore connects in the background: the server may be down.
func openStore(url string, timeout, ttl time.Duration, log *zap.Logger) (*store, error) {
	option, err := valkey.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("reading ValkeyURL: %w", err)
	}
	option.DisableRetry, option.DisableCache = true, true
	option.Dialer.Timeout = time.Second
	option.ConnWriteTimeout = max(time.Second, 2*timeout)
	ctx, stop := context.WithCancel(context.Background())
	s := &store{option: option, timeout: timeout, ttl: ttl, log: log, stop: stop}
	s.done.Go(func() { s.connect(ctx) })
	return s, nil
}

func (s *store) connect(ctx context.Context) {
	client, err := persist(ctx, s.log, "connecting to valkey", func() (valkey.Client, error) {
		client, err := valkey.NewClient(s.option)
		if err != nil && client != nil {
			client.Close()
		}
		return client, err
	})
	if err == nil {
		s.client.Store(&client)
	}
}

func (s *store) close() {
	s.stop()
	s.done.Wait()
	if client := s.client.Load(); client != nil {
		(*client).Close()
	}
}

// do runs a command with the cache's deadline.
func (s *store) do(ctx context.Context, command func(valkey.Builder) valkey.Completed) (valkey.ValkeyResult, error) {
	client := s.client.Load()
	if client == nil {
		return valkey.ValkeyResult{}, errDown
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	result := (*client).Do(ctx, command((*client).B()))
	return result, result.Error()
}

// get returns errMiss when the cache answers that it does not hold the key.
func (s *store) get(ctx context.Context, key string) ([]byte, error) {
	result, err := s.do(ctx, func(b valkey.Builder) valkey.Completed { return b.Get().Key(key).Build() })
	if valkey.IsValkeyNil(err) {
		return nil, errMiss
	}
	if err != nil {
		return nil, err
	}
	return result.AsBytes()
}

func (s *store) set(ctx context.Context, key string, payload []byte) error {
	_, err := s.do(ctx, func(b valkey.Builder) valkey.Completed {
		return b.Set().Key(key).Value(valkey.BinaryString(payload)).PxMilliseconds(max(s.ttl.Milliseconds(), 1)).Build()
	})
	return err
}

func (s *store) del(ctx context.Context, key string) error {
	_, err := s.do(ctx, func(b valkey.Builder) valkey.Completed { return b.Del().Key(key).Build() })
	return err
}
