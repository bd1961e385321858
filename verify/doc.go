// Package verify compares the cache with Postgres while both are in use, and says how consistent they are: like Meta's Polaris ("Cache made
// consistent", 2022), in shares of keys and of writes that are consistent within a second, ten seconds and a minute.
//
// It goes by versions. For each key that has one in Postgres it reads the entry. A hit with another version than Postgres's is a suspect: perhaps a write is
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
// It reads, and changes nothing unless told to fix: then it invalidates what differs, which is always safe.
package verify
