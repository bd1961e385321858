package entity

import (
	"fmt"
	"strings"
)

// Error is one thing that is declared wrongly.
type Error struct {
	// Path is that of the file.
	Path string
	position
	// Reason says what is wrong, and what to do.
	Reason string
}

// Error begins with file, line and column.
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.Path, e.line, e.column, e.Reason)
}

// Line returns the line, counted from 1.
func (e *Error) Line() int { return e.line }

// Column returns the column, counted from 1.
func (e *Error) Column() int { return e.column }

// Errors is all that is declared wrongly.
type Errors []Error

// Error lists them, one a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

func (f *File) fail(pos position, format string, args ...any) {
	f.wrong = append(f.wrong, Error{Path: f.path, position: pos, Reason: fmt.Sprintf(format, args...)})
}

func (f *File) errors() error {
	if len(f.wrong) == 0 {
		return nil
	}
	return f.wrong
}

// FieldError says what is wrong with one field of a body.
type FieldError struct {
	// Field is the column, empty for the body as a whole.
	Field string
	// Reason says what is wrong.
	Reason string
}

// FieldErrors is what is wrong with a body.
type FieldErrors []FieldError

// Error lists them.
func (e FieldErrors) Error() string {
	parts := make([]string, len(e))
	for i, f := range e {
		parts[i] = f.Reason
		if f.Field != "" {
			parts[i] = f.Field + ": " + f.Reason
		}
	}
	return strings.Join(parts, "; ")
}

// IDError says why a path names no row.
type IDError struct{ Reason string }

// Error says why.
func (e *IDError) Error() string { return e.Reason }
