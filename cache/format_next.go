//go:build nextformat

package cache

// FormatMax is one more than there are: a build with this tag is the next one in tests of upgrades. Its format differs by the tag alone.
const FormatMax = 2
