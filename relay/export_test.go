package relay

// EncodeChunk is for tests that put a chunk into the stream themselves.
var EncodeChunk = encodeChunk
