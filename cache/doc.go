// Package cache keeps versioned entries in Valkey and guards them with three operations, each on one key, each atomic
// in the server, so that no delay, no repetition and no reordering of a delivery can bring an older value back.
//
// An entry is a one-line ASCII header and the payload:
//
//	tl1 V 42\n…            a value of version 42
//	tl1 A 42\n             the row was absent as of version 42
//	tl1 P 42 TOKEN\n       a placeholder: a miss to every reader; only the holder of TOKEN may turn it into a value,
//	                       and only into one of version 42 or later
//
// Ticket leaves a placeholder and returns its token, Apply brings a committed change to the entry, Fill brings what a
// loader read. The versions come from Postgres: for one key their order is the order of the commits. docs/protocol.md
// has the rules and the reason for each.
//
// # When Valkey is down
//
// Every call has a deadline of its own ([Config.Timeout]) and fails with [ErrUnavailable]. After a few failures in a
// row a circuit breaker opens: calls then fail at once, while one background probe looks for the server's return. New
// succeeds with the server down; it fails only when the server answers and refuses us. Nothing here depends on
// Postgres or NATS.
package cache
