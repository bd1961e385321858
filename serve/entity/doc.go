// Package entity says which rows of which tables can be reached over HTTP, and how: it reads the file that declares the entities, checks it against the live
// schema, turns paths into cache keys and bodies into rows, and writes the statements.
//
// Three things hold whatever a client sends. A statement names declared tables and columns alone, each quoted; what a client sends is a parameter of it. One
// row has one cache key: an identifier is taken only in the spelling that Postgres gives it, and no two rows share a key. And no number passes through a
// float: rows are made into JSON, and JSON into rows, by Postgres.
//
// It knows Postgres alone. With Postgres down [File.Check] fails with the driver's error; all that is declared wrongly is an [Errors], each with its file, line
// and column.
package entity
