package blob

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestCheckMark(t *testing.T) {
	t.Parallel()
	for text, fine := range map[string]bool{
		MarkText: true, MarkText + "Do not remove it.\n": true, "": true, "made by hand": true, "holdfast store, format x\n": true, "holdfast store, format 1": true,
		"holdfast store, format 2\nMore of it.\n": false, "holdfast store, format 12": false,
	} {
		err := CheckMark(strings.NewReader(text), "/the/store")
		if fine && err != nil || !fine && (!errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "/the/store holds a store in format")) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := CheckMark(iotest.ErrReader(errors.New("bad disk")), "/the/store"); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a mark that cannot be read: %v", err)
	}
}
