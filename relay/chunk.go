package relay

import (
	"encoding/binary"
	"errors"

	"github.com/tidelock-cache/tidelock/outbox"
)

// errChunk says that a message is not one of ours.
var errChunk = errors.New("malformed chunk")

// The form of a chunk: the byte 1, then for each record its version, twice its key's length plus one if it needs a ticket,
// and the key; numbers are uvarints.
const chunkForm = 1

func encodeChunk(claims []outbox.Claim) []byte {
	b := []byte{chunkForm}
	for _, c := range claims {
		b = binary.AppendUvarint(b, uint64(c.Version))
		length := uint64(len(c.Key)) << 1
		if c.Allocate {
			length |= 1
		}
		b = append(binary.AppendUvarint(b, length), c.Key...)
	}
	return b
}

func decodeChunk(b []byte) ([]outbox.Claim, error) {
	if len(b) == 0 || b[0] != chunkForm {
		return nil, errChunk
	}
	var claims []outbox.Claim
	for b = b[1:]; len(b) > 0; {
		version, n := binary.Uvarint(b)
		if n <= 0 || int64(version) <= 0 {
			return nil, errChunk
		}
		length, m := binary.Uvarint(b[n:])
		if m <= 0 || length>>1 > uint64(len(b)-n-m) {
			return nil, errChunk
		}
		b = b[n+m:]
		claims = append(claims, outbox.Claim{Version: int64(version), Key: string(b[:length>>1]), Allocate: length&1 == 1})
		b = b[length>>1:]
	}
	return claims, nil
}

// chunks cuts claims into pieces of at most records, and of at most bytes of payload unless one record alone has more:
// a consumer holds the payloads of one piece in memory.
func chunks(claims []outbox.Claim, records, bytes int) [][]outbox.Claim {
	var all [][]outbox.Claim
	start, size := 0, 0
	for i, c := range claims {
		if i > start && (i-start == records || size+c.Size > bytes) {
			all = append(all, claims[start:i])
			start, size = i, 0
		}
		size += c.Size
	}
	if start < len(claims) {
		all = append(all, claims[start:])
	}
	return all
}

func versionsOf(claims []outbox.Claim) []int64 {
	versions := make([]int64, len(claims))
	for i, c := range claims {
		versions[i] = c.Version
	}
	return versions
}
