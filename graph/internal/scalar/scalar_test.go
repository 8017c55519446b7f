package scalar

import (
	"bytes"
	"encoding/json"
	"math"
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

func TestInts(t *testing.T) {
	t.Parallel()
	for _, v := range []any{json.Number("-7"), int64(-7), -7} {
		if n, err := UnmarshalInt64(v); err != nil || n != -7 {
			t.Errorf("%T: %d, %v", v, n, err)
		}
		if n, err := UnmarshalInt(v); err != nil || n != -7 {
			t.Errorf("%T: %d, %v", v, n, err)
		}
	}
	if n, err := UnmarshalInt64(json.Number("9223372036854775807")); err != nil || n != math.MaxInt64 {
		t.Error(n, err)
	}
	for _, bad := range []any{nil, "7", 7.0, json.Number("7.5"), json.Number("9223372036854775808")} {
		if _, err := UnmarshalInt64(bad); err == nil {
			t.Errorf("%v was read as a number", bad)
		}
	}
	if _, err := UnmarshalInt(int64(math.MaxInt32) + 1); err == nil {
		t.Error("33 bits were read as 32")
	}
}
