//go:build !mutants

// Package mutant switches single rules of the protocol off, so that the suite can show that each rule is pinned by a
// test. In a normal build it is empty and costs nothing: On is a constant and Text returns its input.
package mutant

// On reports whether the named rule is switched off. It never is in a normal build.
func On(string) bool { return false }

// Text returns src: in a normal build no script or statement is ever altered.
func Text(_, src, _, _ string) string { return src }
