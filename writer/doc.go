// Package writer commits rows and their cache changes together and then sets the cache.
//
// A transaction writes the row, draws a version for each key it changes and writes a record of the change to the outbox, all
// before one COMMIT. After it the writer applies the change to the cache itself, within the cache's deadline, and
// retires the record in the background. There are three ways in:
//
//   - [Writer.Write] runs a function in a transaction of its own.
//   - [Writer.Put] runs one statement and shares the transaction with whoever else is putting at that moment.
//   - [Writer.Record] and [Pending.Apply] serve a caller that owns the transaction.
//
// # What happens when something is down
//
//   - Valkey: the write commits and its result says [Deferred]. While the cache's breaker is open the cache is not even
//     tried, so a write costs what Postgres costs. A relay settles the key after Valkey's return.
//   - NATS: nothing is noticed, except that a deferred key waits for the relay's next look instead of being announced.
//   - Postgres: the write fails and nothing has changed anywhere; or, when the connection is lost while the COMMIT is under way,
//     the error is [ErrUnknown]: it is committed, record and all, or it is not.
//   - This process, at any point: the record is in the outbox exactly when the row is committed, and a relay goes on from there.
package writer
