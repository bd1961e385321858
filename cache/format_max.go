//go:build !nextformat

package cache

// FormatMax is the newest format of entries that this build knows. There is but one so far.
const FormatMax = 1
