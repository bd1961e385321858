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
// # Near entries
//
// With [Config.NearBytes] the process keeps what GetNear and GetManyNear have read, whatever kind of entry it is, or none, and the server tells it of
// every change (RESP3 tracking, opted into key by key). An entry goes when the server says so, at a FLUSHALL, at the end of its own time to live, for want of room, after
// [Config.NearTTL], and with the connection that it was read on: each connection keeps its own, so nothing is served that a lost one would have been told of.
//
// What is served near may therefore be older than what the server holds: by the moment that the word of a change is on its way; and on a connection that has fallen
// silent without an end (a cable pulled, a server that is paused) until it is given up, after about three seconds, or for NearTTL, whichever is
// less. While the breaker is open nothing is served near. The other calls never look there.
//
// It costs the server memory for each key that it has told of nobody's change yet (tracking-table-max-keys bounds that, at a million), and a message for each
// change to each process that keeps the key. A read of a key that is not near takes five commands in one round trip. There is one
// connection to a server, not up to four as otherwise, for each would keep the same entries. In a cluster NearBytes is the room for each server.
//
// # When Valkey is down
//
// Every call has a deadline of its own ([Config.Timeout]) and fails with [ErrUnavailable]. After a few failures in a
// row a circuit breaker opens: calls then fail at once, while one background probe looks for the server's return. New
// succeeds with the server down; it fails only when the server answers and refuses us. Nothing here depends on
// Postgres or NATS.
package cache
