package drive

import (
	"strconv"
	"strings"
)

// StrictPrefix begins the keys of the rows that strict reads are about. Declare it in the database.
const StrictPrefix = "s:"

// RowKey names a row, and its key. Every other one is strict.
func RowKey(i int) string {
	if i%2 == 0 {
		return "row:" + strconv.Itoa(i)
	}
	return StrictPrefix + "row:" + strconv.Itoa(i)
}

// SumKey names an aggregate.
func SumKey(i int) string { return "sum:" + strconv.Itoa(i) }

func isStrict(key string) bool { return strings.HasPrefix(key, StrictPrefix) }

func rowKeys(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = RowKey(i)
	}
	return names
}

// strictKeys are those of the rows that are strict, the first of them as much the first as that of all.
func strictKeys(n int) []string {
	var names []string
	for i := 1; i < n; i += 2 {
		names = append(names, RowKey(i))
	}
	return names
}
