package stack

import (
	"bytes"
	"io"
	"os"
	"strings"
)

const (
	tailBytes = 64 << 10
	tailLines = 20 // how much of its log an error about a server quotes
)

// openLog opens a server's log for appending and returns its length, where the log of the next run begins.
func openLog(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// tail returns the last lines of a file, not reaching back before the offset from. A log that cannot be read is an
// empty one: tail serves error messages, which have something better to tell.
func tail(path string, from int64, lines int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	from = max(from, info.Size()-tailBytes)
	data, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return ""
	}
	all := strings.Split(string(bytes.TrimSpace(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
