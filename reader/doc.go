// Package reader gets values from the cache, and from Postgres what the cache does not hold, filling it on the way.
//
// A miss takes a ticket from the cache, reads the key's version in Postgres, then runs the caller's load, and offers the
// result to the cache under that version with that ticket, unless the version has changed meanwhile. So what is cached is of
// exactly the version that it is labelled with, and a load that was overtaken by a write, a flush, an eviction or a long pause is refused by the cache, while its caller still gets what it
// read. In one process a key has at most one load under way and one waiting: a caller shares only a load that
// begins after the caller asked. A key without a row is cached as absent for a shorter time.
//
// A [Session] keeps what somebody reads and writes from going back, across readers and processes. The row of a load may be newer than its
// label, so what a session remembers is not the label but the version that the key had when it was looked at again ([Payload].Seen).
//
// # Near entries
//
// If the cache keeps entries in the process ([cache.Config.NearBytes]), default reads and those with AtLeast and In are served from there. Nothing below
// what a token or a session asks is: such a read goes on to the server, and then to Postgres. So a session does not go back. A default
// read may, by what was written while the word of it was on its way to this process, or for as long as package cache says if that word is lost; it may also return less
// than a read with a token has just returned. Within and Strict never look there.
//
// # What happens when something is down
//
//   - Valkey: reads go to Postgres, at most [Config.Loads] at a time, and fill nothing. While the breaker is open they
//     do not even try the cache.
//   - Postgres: hits are served, a session's where they are new enough for it; a miss returns a [*LoadError].
//   - NATS: nothing is noticed.
package reader
