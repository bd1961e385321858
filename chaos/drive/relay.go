package drive

import (
	"errors"
	"time"
)

// relayTimeout is the deadline of a relay's calls to Valkey: each carries hundreds of changes.
const relayTimeout = 2 * time.Second

// RelayConfig is what a relay is told. The zero value of a field means the default of relay.Config, whose fields it has, or none of it.
type RelayConfig struct {
	// Name is the process's name. Required.
	Name string
	// DatabaseURL, ValkeyURL and NATSURL are required.
	DatabaseURL, ValkeyURL, NATSURL string
	// Dir is the run's folder: relay.Stats go to NAME.stats.json there when the relay stops. Required.
	Dir string

	Stream                            string
	Poll, Lease                       time.Duration
	Batch, ChunkRecords, StreamChunks int
	Consumers                         int
	KeepVersions, PruneEvery          time.Duration
	PartBytes                         int64
	// Watch and GuardLease are the guardian's.
	Watch, GuardLease time.Duration
	// CacheTimeout bounds each call to Valkey. Default 2 s.
	CacheTimeout time.Duration
	// PayloadMax is the largest payload in bytes. Default 1 MiB.
	PayloadMax int
	// PlaceholderTTL is cache.Config.PlaceholderTTL.
	PlaceholderTTL time.Duration

	// Points are where the process is to die or to pause.
	Points []Point
	// Armed says whether they count from the start, or from the first SIGUSR1.
	Armed bool
}

func (c RelayConfig) validate() error {
	switch {
	case c.Name == "":
		return errors.New("drive: Name is empty: give the relay a name")
	case c.Dir == "":
		return errors.New("drive: Dir is empty: give the run's folder")
	case c.DatabaseURL == "" || c.ValkeyURL == "" || c.NATSURL == "":
		return errors.New("drive: a relay needs DatabaseURL, ValkeyURL and NATSURL")
	}
	return validatePoints(c.Points)
}
