package keyset

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Position[id.Run]{time.UnixMicro(rapid.Int64Range(0, 1<<55).Draw(t, "at")).UTC(), id.Run{}.New()}
		back, err := Parse[id.Run](p.Cursor(), "runs")
		if err != nil || *back != p {
			t.Fatalf("%+v became %+v, %v", p, back, err)
		}
	})
}

func TestParse(t *testing.T) {
	t.Parallel()
	if p, err := Parse[id.Run]("", "runs"); p != nil || err != nil {
		t.Errorf("the beginning: %v, %v", p, err)
	}
	var none *Position[id.Run]
	if at, last := none.Args(); at != nil || last != nil {
		t.Error("the beginning has no arguments")
	}
	good := Position[id.Run]{time.Unix(1, 0), id.Run{1}}.Cursor()
	for _, bad := range []string{"x", "%%", good + "AAAA", good[:8], "_" + good[1:]} {
		if _, err := Parse[id.Run](bad, "a list of runs"); fault.KindOf(err) != fault.Invalid || err.Error() != "after: this is not a cursor of a list of runs" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
