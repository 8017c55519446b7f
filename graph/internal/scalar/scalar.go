// Package scalar writes and reads the schema's own scalars.
package scalar

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// MarshalBytes writes bytes as standard base64 with padding. nil is written as no bytes: a nullable field
// is null by its pointer or its resolver.
func MarshalBytes(b []byte) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+2)
		out = append(out, '"')
		out = base64.StdEncoding.AppendEncode(out, b)
		w.Write(append(out, '"'))
	})
}

// UnmarshalBytes reads standard base64 with padding.
func UnmarshalBytes(v any) ([]byte, error) {
	s, ok := v.(string)
	if !ok {
		return nil, fault.New(fault.Invalid, "bytes are written as a base64 string")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, fault.New(fault.Invalid, "bytes are written in standard base64 with padding")
	}
	return b, nil
}

// MarshalTime writes an instant in RFC 3339, UTC.
func MarshalTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		b, err := json.Marshal(t.UTC())
		if err != nil { // beyond the year 9999
			b = []byte("null")
		}
		w.Write(b)
	})
}

// UnmarshalTime reads an instant in RFC 3339, of any zone.
func UnmarshalTime(v any) (time.Time, error) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, fault.New(fault.Invalid, "a time is written as an RFC 3339 string")
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fault.New(fault.Invalid, "a time is written as in 2026-01-31T14:05:00Z")
	}
	return t.UTC(), nil
}

// Node is anything with a global id. The depot's nouns know nothing of GraphQL, so it has no method: the
// generated code knows which types it may meet.
type Node any

// MarshalUpload writes null: a file only ever comes in.
func MarshalUpload(graphql.Upload) graphql.Marshaler { return graphql.Null }

// UnmarshalUpload takes the file that the upload transport put in the file's place.
func UnmarshalUpload(v any) (graphql.Upload, error) {
	u, ok := v.(graphql.Upload)
	if !ok {
		return graphql.Upload{}, fault.New(fault.Invalid, "a file is sent to /graphql/upload as multipart/form-data")
	}
	return u, nil
}

// MarshalInt64 writes a signed 64-bit integer as a number.
func MarshalInt64(n int64) graphql.Marshaler { return graphql.MarshalInt64(n) }

// UnmarshalInt64 reads a signed 64-bit integer.
func UnmarshalInt64(v any) (int64, error) {
	switch n := v.(type) {
	case json.Number:
		if i, err := n.Int64(); err == nil {
			return i, nil
		}
	case int64:
		return n, nil
	case int: // a default of the schema, as gqlgen writes it
		return int64(n), nil
	}
	return 0, fault.New(fault.Invalid, "want a whole number of 64 bits")
}

// MarshalInt writes an integer.
func MarshalInt(n int) graphql.Marshaler { return graphql.MarshalInt(n) }

// UnmarshalInt reads an integer of 32 bits, as GraphQL has them.
func UnmarshalInt(v any) (int, error) {
	n, err := UnmarshalInt64(v)
	if err != nil || n != int64(int32(n)) {
		return 0, fault.New(fault.Invalid, "want a whole number of 32 bits")
	}
	return int(n), nil
}
