package mysql

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/agent/source/portable"
)

// write appends a value as a literal of SQL, or says why the column cannot hold it. What the server itself refuses is left to it; here
// is what it would change.
func (c *typed) write(b []byte, v portable.Value) (_ []byte, why string) {
	switch c.Type {
	case portable.Int:
		if _, err := strconv.ParseInt(string(v), 10, 64); err != nil && !c.own {
			return b, "is no number that bigint of MySQL can hold"
		}
		return append(b, v...), ""
	case portable.Bool:
		return append(b, map[string]byte{"true": '1', "false": '0'}[string(v)]), ""
	case portable.Decimal:
		if portable.Special(v) {
			return b, "no decimal of MySQL can be"
		}
		if before, behind := portable.Places(string(v)); c.whole+c.behind > 0 && (before > c.whole || behind > c.behind) {
			return b, fmt.Sprintf("has more digits than %s of MySQL can hold", c.kind)
		}
	case portable.Float:
		if portable.Special(v) {
			return b, "no number of MySQL can be"
		}
		if _, err := strconv.ParseFloat(string(v), 64); err != nil {
			return b, "is no number that double of MySQL can hold"
		}
	case portable.Date:
		if !portable.IsDate(v, !c.own) {
			return b, "is no date that MySQL can hold, whose years have four digits"
		}
	case portable.Time:
		if n, ok := portable.IsTime(v); !ok || n > c.behind {
			return b, fmt.Sprintf("is no time that %s of MySQL can hold", c.kind)
		}
	case portable.Timestamp, portable.TimestampTZ:
		return c.moment(b, v)
	case portable.JSON:
		if !json.Valid(v) {
			return b, "is no JSON"
		}
	case portable.UUID:
		if !portable.IsUUID(v) {
			return b, "is no UUID"
		}
	case portable.Bytes:
		if c.most > 0 && len(v) > c.most {
			return b, fmt.Sprintf("is longer than the %d bytes that fit into a key of MySQL", c.most)
		}
		return appendText(append(b, "_binary"...), v), ""
	}
	if c.most > 0 && utf8.RuneCount(v) > c.most {
		return b, fmt.Sprintf("is longer than the %d characters that fit into a key of MySQL", c.most)
	}
	return appendText(b, v), ""
}

// moment writes a date with a time.
func (c *typed) moment(b []byte, v portable.Value) ([]byte, string) {
	at := []byte(v)
	if c.Type == portable.TimestampTZ {
		var ok bool
		if at, ok = bytes.CutSuffix(at, []byte("Z")); !ok {
			return b, "is no moment that MySQL can hold, whose years have four digits"
		}
	}
	if n, ok := portable.IsTimestamp(at, !c.own); !ok || n > c.behind {
		return b, "is no moment that " + c.kind + " of MySQL can hold, whose years have four digits"
	}
	return appendText(b, bytes.Replace(at, []byte("T"), []byte(" "), 1)), ""
}

// appendText appends a string in quotes. A zero byte may be in it.
func appendText(b, v []byte) []byte {
	b = append(b, '\'')
	for {
		i := bytes.IndexAny(v, `'\`)
		if i < 0 {
			break
		}
		b = append(append(b, v[:i]...), '\\', v[i])
		v = v[i+1:]
	}
	return append(append(b, v...), '\'')
}
