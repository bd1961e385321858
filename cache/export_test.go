package cache

// Encode and Decode are for tests of the format alone.
var (
	Encode = encode
	Decode = decode
)
