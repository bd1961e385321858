package migrations_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/tidelock-cache/tidelock/migrations"
)

// A service that brings its database up to date when it starts; any number of them may do so at once.
func ExampleUp() {
	n, err := migrations.Up(context.Background(), os.Getenv("TIDELOCK_DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, "migrations applied")
}
