package serve

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// gzipSuffix ends the entity-tag of a compressed representation.
const gzipSuffix = "-gzip"

// etag is the entity-tag of a version.
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// tags is what If-Match or If-None-Match lists.
type tags struct {
	given    bool
	any      bool
	versions []int64 // of those entity-tags that are ours; the others match nothing
}

// condition is what a request expects of the row.
type condition struct{ match, none tags }

// byVersion reports whether the row's version decides.
func (c condition) byVersion() bool {
	return c.match.given && !c.match.any || c.none.given && !c.none.any
}

// holds reports whether a row that is there, of this version, is what was expected.
func (c condition) holds(version int64) bool {
	return (!c.match.given || c.match.any || slices.Contains(c.match.versions, version)) &&
		(!c.none.given || !c.none.any && !slices.Contains(c.none.versions, version))
}

func conditionOf(h http.Header) (c condition, err error) {
	if c.match, err = parseTags("If-Match", h.Values("If-Match"), false); err != nil {
		return c, err
	}
	c.none, err = parseTags("If-None-Match", h.Values("If-None-Match"), true)
	return c, err
}

// parseTags reads a list of entity-tags. A weak one counts only where weak comparison is meant.
func parseTags(name string, values []string, weak bool) (t tags, err error) {
	rest := strings.TrimSpace(strings.Join(values, ","))
	if rest == "" {
		return t, nil
	}
	t.given = true
	if rest == "*" {
		t.any = true
		return t, nil
	}
	for rest != "" {
		text, isWeak := strings.CutPrefix(rest, "W/")
		text, quoted := strings.CutPrefix(text, `"`)
		opaque, after, closed := strings.Cut(text, `"`)
		after = strings.TrimLeft(after, " \t")
		if !quoted || !closed || after != "" && after[0] != ',' {
			return t, badHeader.because("%s is not a list of entity-tags: want \"42\" with its quotes, or *", name)
		}
		if version, err := strconv.ParseInt(strings.TrimSuffix(opaque, gzipSuffix), 10, 64); err == nil && (weak || !isWeak) {
			t.versions = append(t.versions, version)
		}
		rest = strings.TrimLeft(after, ", \t")
	}
	return t, nil
}

// failed is the problem of a condition that does not hold.
func (c condition) failed() *problem {
	switch {
	case c.none.any:
		return precondition.because("the row is there already")
	case c.match.given:
		return precondition.because("the row has changed, or is gone")
	default:
		return precondition.because("the row is what If-None-Match excludes")
	}
}

// String is the condition's part in a fingerprint.
func (c condition) String() string { return fmt.Sprintf("%+v", struct{ match, none tags }(c)) }
