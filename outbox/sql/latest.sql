-- The latest committed version of each key that has one. $1: the keys.
SELECT key, version FROM tidelock.versions WHERE key = ANY ($1)
