package chaos

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/migrations"
	"github.com/tidelock-cache/tidelock/outbox"
)

const (
	// template is a database with Tidelock's schema and the table that is written: to copy it takes a fraction of a second.
	template = "chaos_template"
	// adminTimeout bounds what is done to whole databases.
	adminTimeout = 30 * time.Second
)

// prepareTemplate makes the template on a server that has none.
func prepareTemplate(ctx context.Context, server *stack.Postgres) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	if err := execute(ctx, server.URL(), "CREATE DATABASE "+template); err != nil {
		return err
	}
	at, err := urlOf(server, template)
	if err != nil {
		return err
	}
	if _, err := migrations.Up(ctx, at); err != nil {
		return fmt.Errorf("migrating the template: %w", err)
	}
	if err := declareStrict(ctx, at); err != nil {
		return err
	}
	for statement := range strings.SplitSeq(drive.Table, ";") {
		if err := execute(ctx, at, statement); err != nil {
			return err
		}
	}
	return nil
}

// declareStrict declares the prefix of the strict rows. Nobody writes to the template, so it comes into force with a database's first guardian.
func declareStrict(ctx context.Context, at string) error {
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		return fmt.Errorf("connecting to postgres: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return outbox.DeclareStrict(ctx, conn, drive.StrictPrefix)
}

// copyTemplate makes a fresh database.
func copyTemplate(ctx context.Context, server *stack.Postgres, name string) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	if err := execute(ctx, server.URL(), "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		return err
	}
	return execute(ctx, server.URL(), "ALTER DATABASE "+name+" SET deadlock_timeout = '"+deadlockTimeout+"'")
}

// dropDatabase removes a database along with the sessions in it. It works also once ctx has ended.
func dropDatabase(ctx context.Context, server *stack.Postgres, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminTimeout)
	defer cancel()
	return execute(ctx, server.URL(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
}

// urlOf is where a database of the server is.
func urlOf(server *stack.Postgres, database string) (string, error) {
	u, err := url.Parse(server.URL())
	if err != nil {
		return "", fmt.Errorf("reading the URL of postgres: %w", err)
	}
	u.Path = "/" + database
	return u.String(), nil
}

// execute runs one statement on a connection of its own.
func execute(ctx context.Context, at, sql string) error {
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		return fmt.Errorf("connecting to postgres: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("running %q: %w", sql, err)
	}
	return nil
}
