package entity

import (
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
)

// Methods that an entity may have, in the order in which they are shown.
var methods = []string{"get", "put", "patch", "delete"}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// checkWords says what is wrong without asking a database.
func (f *File) checkWords() {
	for i := range f.spec.Entities {
		e := &f.spec.Entities[i]
		if !nameForm.MatchString(e.name.value) || e.name.value == "batch" {
			f.fail(e.name.pos, "%q cannot be an entity's name: want lower-case letters, digits, _ and -, a letter first, and not \"batch\"", e.name.value)
		}
		f.checkEntity(e.name.pos, &e.value)
	}
	seen := make(map[string]string)
	for i := range f.spec.Clients {
		f.checkClient(f.spec.Clients[i].name, &f.spec.Clients[i].value, seen)
	}
}

func (f *File) checkEntity(pos position, s *entitySpec) {
	if s.Table.value == "" {
		f.fail(pos, "\"table\" is missing")
	}
	if len(s.Key) == 0 {
		f.fail(pos, "\"key\" is missing: name the columns that identify a row")
	}
	if s.Cache.value == "" {
		f.fail(pos, "\"cache\" is missing: give the template of the cache keys, such as flight:{id}")
	} else if _, err := parseTemplate(s.Cache.value, s.Key.values()); err != nil {
		f.fail(s.Cache.pos, "%v", err)
	}
	f.checkLists(s)
	for _, ttl := range []at[duration]{s.TTL, s.AbsentTTL} {
		if ttl.pos == (position{}) {
			continue
		}
		if err := cache.CheckTTL(time.Duration(ttl.value)); err != nil {
			f.fail(ttl.pos, "%v", err)
		}
	}
	if !slices.Contains([]string{"", "write", "read"}, s.Allocate.value) {
		f.fail(s.Allocate.pos, "%q is no allocation: want \"write\", which stores a row in the cache when it is written, or \"read\"", s.Allocate.value)
	}
}

func (f *File) checkLists(s *entitySpec) {
	for _, l := range []list{s.Key, s.Columns, s.ReadOnly, s.Methods} {
		seen := make(map[string]bool)
		for _, word := range l {
			if seen[word.value] {
				f.fail(word.pos, "%q is named twice", word.value)
			}
			seen[word.value] = true
		}
	}
	for _, c := range s.ReadOnly {
		if !slices.Contains(s.Columns.values(), c.value) {
			f.fail(c.pos, "%q is read-only and not among the columns", c.value)
		}
	}
	for _, m := range s.Methods {
		if !slices.Contains(methods, m.value) {
			f.fail(m.pos, "%q is no method: want some of %s", m.value, strings.Join(methods, ", "))
		}
	}
}

func (f *File) checkClient(name at[string], s *clientSpec, seen map[string]string) {
	if !nameForm.MatchString(name.value) {
		f.fail(name.pos, "%q cannot be a client's name: want lower-case letters, digits, _ and -, a letter first", name.value)
	}
	if (s.SHA256.value == "") == (s.Certificate.value == "") {
		f.fail(name.pos, "the client %q needs either \"sha256\", the hash of its token, or \"certificate\", the name in its certificate", name.value)
	}
	if h, err := hex.DecodeString(s.SHA256.value); s.SHA256.value != "" && (err != nil || len(h) != 32) {
		f.fail(s.SHA256.pos, "\"sha256\" is not the SHA-256 of a token in hexadecimal: printf %%s \"$TOKEN\" | sha256sum")
	}
	for _, id := range []string{"token " + strings.ToLower(s.SHA256.value), "certificate " + s.Certificate.value} {
		if other, twice := seen[id]; twice && !strings.HasSuffix(id, " ") {
			f.fail(name.pos, "the clients %q and %q are one", other, name.value)
		}
		seen[id] = name.value
	}
	if s.Rate.value < 0 || s.Burst.value < 0 {
		f.fail(name.pos, "\"rate\" and \"burst\" must not be negative")
	}
	for _, scope := range s.Scopes {
		if scope.name.value != AllEntities && !f.spec.Entities.has(scope.name.value) {
			f.fail(scope.name.pos, "there is no entity %q; \"*\" stands for all", scope.name.value)
		}
		for _, right := range scope.value {
			if !slices.Contains(rights, Right(right.value)) {
				f.fail(right.pos, "%q is no right: want read, write or admin", right.value)
			}
		}
	}
}
