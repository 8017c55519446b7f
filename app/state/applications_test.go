package state

import (
	"testing"

	"github.com/holdfast-backup/holdfast/app/api"
)

func TestProbePoints(t *testing.T) {
	t.Parallel()
	list := ProbePoints("+ connection: PostgreSQL 15.8\n- pg_dump: it is not there: install it\nnonsense\n+ media\n\n")
	want := []ProbePoint{{true, "connection", "PostgreSQL 15.8"}, {false, "pg_dump", "it is not there: install it"}, {true, "media", ""}}
	if len(list) != len(want) {
		t.Fatal(list)
	}
	for i := range want {
		if list[i] != want[i] {
			t.Errorf("%+v, want %+v", list[i], want[i])
		}
	}
}

func TestRestoreInPlace(t *testing.T) {
	t.Parallel()
	full, db, media := api.ApplicationPartFull, api.ApplicationPartDatabase, api.ApplicationPartMedia
	for _, c := range []struct {
		in   RestoreInput
		want bool
	}{
		{RestoreInput{Part: full}, true},
		{RestoreInput{Part: full, Database: "copy"}, true}, // the media are put in place
		{RestoreInput{Part: full, Folder: "/x"}, true},
		{RestoreInput{Part: full, Database: "copy", Folder: "/x"}, false},
		{RestoreInput{Part: db}, true},
		{RestoreInput{Part: db, Database: "copy"}, false},
		{RestoreInput{Part: media}, true},
		{RestoreInput{Part: media, Folder: "/x"}, false},
	} {
		if got := c.in.InPlace(); got != c.want {
			t.Errorf("%+v: %v", c.in, got)
		}
	}
}
