// Package verify compares the cache with Postgres while both are in use, and says how consistent they are: like Meta's Polaris ("Cache made
// consistent", 2022), in shares of keys and of writes that are consistent within a second, ten seconds and a minute.
//
// # By version
//
// For each key that has a version in Postgres it reads the entry. A hit with another version than Postgres's is a suspect: perhaps a write is
// under way. So the entry is read again, then the key's version together with what waits for it, then the entry once more:
//
//	entry ──▶ version, and whether a record waits ──▶ entry
//	  │                       │                         │
//	  └─ above the version: ──┴── below the version: ───┘
//	     not of this history      behind
//
// Above is above a version read later, so nobody who committed it can be under way. Behind a version for which nothing waits is behind one that was said
// to be settled before the entry was read. Both are differences, and neither should exist. Behind while a record waits is late: it is looked at again after a second,
// ten and a minute.
//
// # By value
//
// A row that was changed without Tidelock has no new version. Where Config.Rows says what the entries should hold, each entry is compared with its row too. One
// that is not what its row would make of it is a suspect, for rows change all the time. It is looked at again in the same way:
//
//	entry ──▶ row, version, and whether a record waits, all of one snapshot ──▶ the same entry
//
// Whatever an entry holds was committed before it was read, so the snapshot has it, or a newer version. If it has the entry's version, with another row, then
// nobody has told Tidelock of that row: it was changed, deleted or inserted behind its back. If the entry is another one by then, somebody has seen to it
// meanwhile, by hand perhaps. If something waits, the entry is not what it will be.
//
// The walk is over the keys that the cache holds, and not over the tables: a value whose row is gone is in no table, a row that was only ever read has no
// version, and what is not cached cannot be wrong. It costs as much as the cache is large.
//
// # What it does
//
// It reads, and changes nothing unless told to fix: then it invalidates what differs, which is always safe.
package verify
