package reader_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/reader"
)

// airport is a row of the table airports.
type airport struct {
	Code string `json:"code"`
	City string `json:"city"`
}

// A typed reader: the load gets the keys that the cache does not hold, all at once.
func Example() {
	var (
		ctx   = context.Background()
		db    *pgxpool.Pool // of the primary
		store *cache.Cache  // from cache.New
	)
	airports, err := reader.New(reader.Config{Cache: store, DB: db}, reader.Source[airport]{
		Load: func(ctx context.Context, keys []string) (map[string]airport, error) {
			rows, err := db.Query(ctx, "SELECT code, city FROM airports WHERE 'airport:' || code = ANY ($1)", keys)
			if err != nil {
				return nil, err
			}
			found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[airport])
			byKey := make(map[string]airport, len(found))
			for _, a := range found {
				byKey["airport:"+a.Code] = a
			}
			return byKey, err
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer airports.Close()

	item, err := airports.Get(ctx, "airport:FRA")
	if err != nil {
		fmt.Println(err) // reader.ErrNotFound when there is no such row
		return
	}
	fmt.Println(item.Value.City, item.Hit)
}

// One visitor's reads never go back, whichever process serves them: the session travels in a cookie.
func ExampleSession() {
	var (
		ctx      = context.Background()
		airports *reader.Reader[airport] // from reader.New
		cookie   string                  // of the last answer, empty at first
		written  cache.Token             // of what the visitor has just written: writer.Result.Token
	)
	token, err := cache.ParseToken(cookie)
	if err != nil {
		fmt.Println(err) // somebody has changed the cookie: the zero token that comes with it begins a new session
	}
	session := reader.NewSession(token)
	session.Wrote(written)
	for _, key := range []string{"airport:FRA", "airport:JFK"} {
		item, err := airports.Get(ctx, key, reader.In(session))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(item.Value.City)
	}
	cookie = session.Token().String() // for the answer's Set-Cookie
}
