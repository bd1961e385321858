// Package relay brings to the cache whatever its writers could not: it takes due records from the outbox, hands them out
// through NATS JetStream, applies them and retires them. It guarantees that every committed change reaches the
// cache or is superseded, as long as some relay runs, whatever was lost on the way.
//
//	     ┌────────────── due, released, lease over ◄──────────────┐
//	     ▼                                                        │
//	outbox (Postgres) ──take──► dispatcher ──chunk──► stream ──► consumer: ticket → read → apply → retire → ack
//	     ▲                                                                   │        │
//	     └── nudge (core NATS) from a writer that could not settle           ▼        ▼
//	                                                                      Postgres  Valkey
//
// Any number of relays may run. A record is leased in Postgres to the one that took it; if nothing comes of that, for any
// reason, it is due again when the lease ends. JetStream carries work and its acks prove nothing: a chunk names records,
// the records stay in Postgres until they are settled, and applying one twice is harmless.
//
// # What happens when something is down
//
//   - Valkey: the breaker opens; dispatchers take nothing, consumers fetch nothing. When it answers again all that is
//     due is taken, newest first.
//   - NATS: records stay and dispatching resumes by itself. The stream may be deleted at any time; it is made again.
//   - Postgres: nothing can be taken or retired; the relay tries again with a growing pause, for ever.
//   - A relay killed at any instant: its records come due again.
//
// A record whose value can never be stored does not block the others: its key is invalidated or deleted, so that readers go to Postgres,
// and the record is set aside for the operator.
package relay
