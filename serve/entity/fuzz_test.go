package entity

import (
	"slices"
	"testing"
)

// FuzzTemplate takes keys apart that were made of two rows: what comes out is what went in, and two rows have two keys.
func FuzzTemplate(f *testing.F) {
	f.Add("a", "b", "a:b", "")
	f.Add("x:y", "z", "x", "y:z")
	f.Add("%3A", "%", ":", "%25")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		for _, text := range []string{"s:{a}:{b}", "s:{b}: :{a}!", "{a}-{b}", "x{a}|{b}"} {
			template, err := parseTemplate(text, []string{"a", "b"})
			if err != nil {
				continue
			}
			one, other := []string{a, b}, []string{c, d}
			key := template.key(one)
			if id, ok := template.parse(key); !ok || !slices.Equal(id, one) {
				t.Errorf("%q: %q became %q, %v", text, one, id, ok)
			}
			if !slices.Equal(one, other) && template.key(other) == key {
				t.Errorf("%q: %q and %q have the key %q", text, one, other, key)
			}
		}
	})
}

// FuzzFile reads what is no file of ours.
func FuzzFile(f *testing.F) {
	f.Add("entities:\n  a: {table: t, key: id, cache: 'c:{id}', columns: [n], ttl: 1h}\nclients:\n  c: {sha256: ab, scopes: {a: [read]}}\n")
	f.Add("entities: &a {b: *a}")
	f.Add("entities:\n  a:\n    key: [[x]]\n    insert: \n")
	f.Fuzz(func(t *testing.T, text string) {
		if file, err := Parse("f", []byte(text)); err == nil {
			file.Clients()
		}
	})
}
