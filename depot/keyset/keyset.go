// Package keyset says where a page of a list ended, so that the next one begins right after it, whatever was added meanwhile: by the time and the
// id of its last row. Time comes first, because that is what people read by; the id makes it unique. Clients see it as an opaque text, a cursor.
package keyset

import (
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Position is a place between two rows.
type Position[ID ~[16]byte] struct {
	At time.Time // to the microsecond, which is what PostgreSQL keeps
	ID ID
}

// Cursor returns the position as clients get it.
func (p Position[ID]) Cursor() string {
	b := binary.BigEndian.AppendUint64(nil, uint64(p.At.UnixMicro()))
	id := [16]byte(p.ID)
	return base64.RawURLEncoding.EncodeToString(append(b, id[:]...))
}

// Parse reads what [Position.Cursor] returned; an empty text is the beginning of the list and gives nil. list names it in the error: "a list of runs".
func Parse[ID ~[16]byte](cursor, list string) (*Position[ID], error) {
	if cursor == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) != 24 || b[0] != 0 { // before the year 4253
		return nil, fault.New(fault.Invalid, "after: this is not a cursor of %s", list)
	}
	return &Position[ID]{time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC(), ID(b[8:])}, nil
}

// Args returns what a statement compares a row's time and id with: nil for both at the beginning.
func (p *Position[ID]) Args() (at *time.Time, id *ID) {
	if p == nil {
		return nil, nil
	}
	return &p.At, &p.ID
}
