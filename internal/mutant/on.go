//go:build mutants

// Package mutant switches single rules of the protocol off, so that the suite can show that each rule is pinned by a
// test. This build takes the rule's name from TIDELOCK_MUTANT; it must never be shipped.
package mutant

import (
	"fmt"
	"os"
	"strings"
)

var name = os.Getenv("TIDELOCK_MUTANT")

// On reports whether the named rule is switched off.
func On(rule string) bool { return name != "" && name == rule }

// Text returns src with old replaced by new when the named rule is switched off. It panics when old does not stand in
// src exactly once: a mutant that changes nothing would prove nothing.
func Text(rule, src, old, new string) string {
	if strings.Count(src, old) != 1 {
		panic(fmt.Sprintf("mutant %s: the text to replace stands %d times in its source", rule, strings.Count(src, old)))
	}
	if !On(rule) {
		return src
	}
	return strings.Replace(src, old, new, 1)
}
