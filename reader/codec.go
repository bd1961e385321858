package reader

import (
	"encoding/json"

	"google.golang.org/protobuf/proto"
)

// Codec turns values into payloads and back. The writers of a key must store what the readers' codec decodes.
type Codec[T any] interface {
	Encode(T) ([]byte, error)
	Decode([]byte) (T, error)
}

// JSON is the codec of encoding/json, the default.
type JSON[T any] struct{}

// Encode returns v as JSON.
func (JSON[T]) Encode(v T) ([]byte, error) { return json.Marshal(v) }

// Decode reads JSON.
func (JSON[T]) Decode(b []byte) (v T, err error) {
	err = json.Unmarshal(b, &v)
	return v, err
}

// Bytes is the codec of payloads that are used as they are.
type Bytes struct{}

// Encode returns b.
func (Bytes) Encode(b []byte) ([]byte, error) { return b, nil }

// Decode returns b.
func (Bytes) Decode(b []byte) ([]byte, error) { return b, nil }

// Proto is the codec of Protocol Buffers messages: Proto[pb.Flight, *pb.Flight]{} for values of type *pb.Flight.
type Proto[M any, P interface {
	*M
	proto.Message
}] struct{}

// Encode returns the message in wire format.
func (Proto[M, P]) Encode(m P) ([]byte, error) { return proto.Marshal(m) }

// Decode reads the wire format into a new message.
func (Proto[M, P]) Decode(b []byte) (P, error) {
	m := P(new(M))
	return m, proto.Unmarshal(b, m)
}
