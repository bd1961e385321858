package entity

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
)

// Right is what a client may do with an entity. None includes another.
type Right string

const (
	// ToRead lets a client see rows, also those that it has just written.
	ToRead Right = "read"
	// ToWrite lets a client change rows.
	ToWrite Right = "write"
	// ToAdmin lets a client invalidate what is cached of rows.
	ToAdmin Right = "admin"
)

// AllEntities stands for every entity in a client's scopes.
const AllEntities = "*"

var rights = []Right{ToRead, ToWrite, ToAdmin}

// Client is somebody who may use the API.
type Client struct {
	// Name is what logs call the client.
	Name string
	// Certificate is the name in the client's certificate: a DNS name, an email address, a URI or the common name. Empty for one who has a token.
	Certificate string
	// Rate is how many requests a second the client may send for long, and Burst how many at once; 0 means the server's.
	Rate  float64
	Burst int

	hash   [sha256.Size]byte
	token  bool
	scopes map[string][]Right
}

// Everyone is the client of a server without clients: it may do anything.
func Everyone() *Client {
	return &Client{Name: "anonymous", scopes: map[string][]Right{AllEntities: rights}}
}

// May reports whether the client has a right on an entity.
func (c *Client) May(right Right, entity string) bool {
	return slices.Contains(c.scopes[AllEntities], right) || slices.Contains(c.scopes[entity], right)
}

// Clients returns those that the file declares.
func (f *File) Clients() []*Client {
	var clients []*Client
	for _, s := range f.spec.Clients {
		c := &Client{Name: s.name.value, Certificate: s.value.Certificate.value, Rate: s.value.Rate.value, Burst: s.value.Burst.value, scopes: make(map[string][]Right)}
		if hash, err := hex.DecodeString(s.value.SHA256.value); err == nil && len(hash) == len(c.hash) {
			c.token = true
			copy(c.hash[:], hash)
		}
		for _, scope := range s.value.Scopes {
			for _, right := range scope.value {
				c.scopes[scope.name.value] = append(c.scopes[scope.name.value], Right(right.value))
			}
		}
		clients = append(clients, c)
	}
	return clients
}

// ByToken returns the client whose token it is, nil for none. Every hash is compared, each in constant time, so the time tells nothing of any.
func ByToken(clients []*Client, token string) *Client {
	hash := sha256.Sum256([]byte(token))
	var found *Client
	for _, c := range clients {
		if subtle.ConstantTimeCompare(hash[:], c.hash[:]) == 1 && c.token {
			found = c
		}
	}
	return found
}
