package notice

import (
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// MaxPage is the largest page of notifications and of mails, and the most that [Service.MarkRead] takes at once.
const MaxPage = 200

// position is a place between two rows: time first, because that is what people read by; id makes it unique.
type position struct {
	at time.Time
	id [16]byte
}

func cursor(at time.Time, id [16]byte) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMicro())) // what PostgreSQL keeps
	return base64.RawURLEncoding.EncodeToString(append(b, id[:]...))
}

// parsePage checks the arguments of a list. An empty cursor is nil: from the newest on.
func parsePage(first int, after string) (*position, error) {
	if first < 0 || first > MaxPage {
		return nil, fault.New(fault.Invalid, "first: ask for 0 to %d", MaxPage)
	}
	if after == "" {
		return nil, nil
	}
	var p position
	b, err := base64.RawURLEncoding.DecodeString(after)
	if err != nil || len(b) != 8+len(p.id) || b[0] != 0 { // before the year 4253
		return nil, fault.New(fault.Invalid, "after: this is not a cursor of this list")
	}
	p.at = time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC()
	copy(p.id[:], b[8:])
	return &p, nil
}
