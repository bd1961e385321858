// Package serve is Tidelock over HTTP: rows of declared entities (package entity) read through the cache and written with it, for services that are not written
// in Go. docs/http.md is its manual, and a server has its own at /docs and /openapi.json.
//
// A write that is acknowledged is committed with its record, as one of package writer's is. A condition on a version (If-Match) is checked in the write's own
// transaction, once it holds the row and the key, so of two writers who have read one version one gets 412. An entity-tag stands for one content: two writes of
// one key never share a version.
//
// # What happens when something is down
//
//   - Valkey: reads come from Postgres, writes say that they are deferred, /readyz says degraded and stays ready.
//   - NATS: reads with a bound and strict ones come from Postgres after a while; as for the others see packages reader and writer.
//   - Postgres: hits are served; all else is 503, and /readyz is not ready.
//   - A COMMIT whose outcome is unknown is 504 and says so. A client that sent an Idempotency-Key may repeat it.
package serve
