package entity

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// File is what an entities file declares, before it is checked against a database.
type File struct {
	path  string
	spec  fileSpec
	wrong Errors
}

// fileSpec is the file as it is written.
type fileSpec struct {
	Entities named[entitySpec] `yaml:"entities"`
	Clients  named[clientSpec] `yaml:"clients"`
}

type entitySpec struct {
	Table     at[string]   `yaml:"table"`
	Key       list         `yaml:"key"`
	Cache     at[string]   `yaml:"cache"`
	Columns   list         `yaml:"columns"`
	ReadOnly  list         `yaml:"read_only"`
	TTL       at[duration] `yaml:"ttl"`
	AbsentTTL at[duration] `yaml:"absent_ttl"`
	Allocate  at[string]   `yaml:"allocate"`
	Strict    at[bool]     `yaml:"strict"`
	Methods   list         `yaml:"methods"`
	Insert    at[bool]     `yaml:"insert"`
	About     at[string]   `yaml:"about"`
}

type clientSpec struct {
	SHA256      at[string]  `yaml:"sha256"`
	Certificate at[string]  `yaml:"certificate"`
	Rate        at[float64] `yaml:"rate"`
	Burst       at[int]     `yaml:"burst"`
	Scopes      named[list] `yaml:"scopes"`
}

// list is a sequence of words, or a single one.
type list []at[string]

// UnmarshalYAML reads either form.
func (l *list) UnmarshalYAML(node ast.Node) error {
	if _, several := node.(*ast.SequenceNode); several {
		return yaml.NodeToValue(node, (*[]at[string])(l), yaml.Strict())
	}
	*l = make(list, 1)
	return (*l)[0].UnmarshalYAML(node)
}

func (l list) values() []string {
	var values []string
	for _, v := range l {
		values = append(values, v.value)
	}
	return values
}

// at is a value and where it stands.
type at[T any] struct {
	value T
	pos   position
}

type position struct{ line, column int }

// UnmarshalYAML reads the value.
func (a *at[T]) UnmarshalYAML(node ast.Node) error {
	a.pos = positionOf(node)
	return yaml.NodeToValue(node, &a.value, yaml.Strict())
}

func positionOf(node ast.Node) position {
	token := node.GetToken()
	if mapping, ok := node.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
		token = mapping.Values[0].Key.GetToken()
	}
	if token == nil || token.Position == nil {
		return position{}
	}
	return position{token.Position.Line, token.Position.Column}
}

// named is a mapping in the order of the file.
type named[T any] []entry[T]

type entry[T any] struct {
	name  at[string]
	value T
}

func (n named[T]) has(name string) bool {
	return slices.ContainsFunc(n, func(e entry[T]) bool { return e.name.value == name })
}

// UnmarshalYAML reads the mapping.
func (n *named[T]) UnmarshalYAML(node ast.Node) error {
	if _, null := node.(*ast.NullNode); null {
		return nil
	}
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		return &Error{position: positionOf(node), Reason: "want a mapping of names"}
	}
	*n = make(named[T], len(mapping.Values))
	for i, value := range mapping.Values {
		it := &(*n)[i]
		if err := it.name.UnmarshalYAML(value.Key); err != nil {
			return err
		}
		if err := yaml.NodeToValue(value.Value, &it.value, yaml.Strict()); err != nil {
			return err
		}
	}
	return nil
}

// duration is a time in Go's spelling: 90s, 1h30m.
type duration time.Duration

// UnmarshalYAML reads the text.
func (d *duration) UnmarshalYAML(node ast.Node) error {
	v, err := time.ParseDuration(node.GetToken().Value)
	if err != nil {
		return &Error{position: positionOf(node), Reason: "want a duration such as 90s or 1h30m"}
	}
	*d = duration(v)
	return nil
}

// Read reads an entities file. What is wrong in it is an Errors; whether it fits a database is for Check to say.
func Read(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the entities: %w", err)
	}
	return Parse(path, text)
}

// Parse is Read for a text; path is what its errors name.
func Parse(path string, text []byte) (*File, error) {
	f := &File{path: path}
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, f.explain(err)
	}
	if len(tree.Docs) != 1 || tree.Docs[0].Body == nil {
		return nil, Errors{{Path: path, position: position{1, 1}, Reason: "want one YAML document with a mapping \"entities\""}}
	}
	if err := yaml.NodeToValue(tree.Docs[0].Body, &f.spec, yaml.Strict()); err != nil {
		return nil, f.explain(err)
	}
	if len(f.spec.Entities) == 0 {
		f.fail(position{1, 1}, "it declares no entities")
	}
	f.checkWords()
	return f, f.errors()
}

// explain gives the parser's error our form. Its own shows the lines around the fault, which may be somebody's hash.
func (f *File) explain(err error) error {
	if ours, ok := errors.AsType[*Error](err); ok {
		return Errors{{Path: f.path, position: ours.position, Reason: ours.Reason}}
	}
	e := Error{Path: f.path, position: position{1, 1}, Reason: "it cannot be read as YAML"}
	if theirs, ok := errors.AsType[yaml.Error](err); ok {
		e.Reason = theirs.GetMessage()
		if token := theirs.GetToken(); token != nil && token.Position != nil {
			e.position = position{token.Position.Line, token.Position.Column}
		}
	}
	return Errors{e}
}
