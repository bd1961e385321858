package verify

import "time"

// Shortened returns the settings with other windows.
func (c Config) Shortened(windows ...time.Duration) Config {
	c.windows = windows
	return c
}
