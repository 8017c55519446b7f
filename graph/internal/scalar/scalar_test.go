package scalar

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestBytes(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{{}, {0}, {0xff, 0xfe}, bytes.Repeat([]byte{7}, 1000)} {
		var w strings.Builder
		MarshalBytes(b).MarshalGQL(&w)
		got, err := UnmarshalBytes(strings.Trim(w.String(), `"`))
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d bytes came back as %d, %v", len(b), len(got), err)
		}
	}
	for _, bad := range []any{1, nil, "a", "_-==", "YQ", "YR=="} {
		if _, err := UnmarshalBytes(bad); err == nil {
			t.Errorf("%v was read as bytes", bad)
		}
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	var w strings.Builder
	MarshalTime(time.Date(2026, 1, 31, 15, 5, 0, 7, time.FixedZone("x", 3600))).MarshalGQL(&w)
	if w.String() != `"2026-01-31T14:05:00.000000007Z"` {
		t.Error(w.String())
	}
	if got, err := UnmarshalTime("2026-01-31T15:05:00+01:00"); err != nil || !got.Equal(time.Date(2026, 1, 31, 14, 5, 0, 0, time.UTC)) {
		t.Error(got, err)
	}
	for _, bad := range []any{1, "", "yesterday", "2026-01-31"} {
		if _, err := UnmarshalTime(bad); err == nil {
			t.Errorf("%v was read as a time", bad)
		}
	}
}
