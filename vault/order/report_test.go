package order

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func exampleReport() *Report {
	return &Report{
		Order: ID(fill(6, 16)), Snapshot: id.Snapshot(fill(9, 16)), Device: id.Device(fill(8, 16)),
		Started: issued, Finished: issued.Add(time.Minute),
		Files: 20_000, Dirs: 900, Others: 3, Bytes: 2 << 30, Skipped: 17,
		Error:        "the disk is full",
		Failures:     []Failure{{"home/zoë/\xffsecret", "something else is in its place"}, {"srv/x", ""}},
		FailureCount: 2,
	}
}

func exampleNote() *Note {
	return &Note{Run: [16]byte(fill(5, 16)), Device: id.Device(fill(8, 16)), At: issued, Text: "/home/zoë/Documents does not exist"}
}

func reports() *rapid.Generator[*Report] {
	return rapid.Custom(func(t *rapid.T) *Report {
		text := rapid.StringN(0, 100, maxText)
		nanos := rapid.Map(rapid.Int64(), func(n int64) time.Time { return time.Unix(0, n).UTC() })
		count := rapid.Int64Min(0)
		r := &Report{
			Order: drawIDs[ID](t, "order"), Snapshot: drawIDs[id.Snapshot](t, "snapshot"), Device: drawIDs[id.Device](t, "device"),
			Started: nanos.Draw(t, "started"), Finished: nanos.Draw(t, "finished"),
			Files: count.Draw(t, "files"), Dirs: count.Draw(t, "dirs"), Others: count.Draw(t, "others"),
			Bytes: count.Draw(t, "bytes"), Skipped: count.Draw(t, "skipped"), Error: text.Draw(t, "error"),
		}
		for range rapid.IntRange(0, 5).Draw(t, "failures") {
			r.Failures = append(r.Failures, Failure{string(rapid.SliceOf(rapid.Byte()).Draw(t, "path")), text.Draw(t, "text")})
		}
		r.FailureCount = rapid.Int64Min(int64(len(r.Failures))).Draw(t, "count")
		return r
	})
}

func TestReportsArrive(t *testing.T) {
	t.Parallel()
	a := cast().account
	rapid.Check(t, func(t *rapid.T) {
		r := reports().Draw(t, "report")
		b, err := r.Seal(a.Space(), a.IdentityPublic())
		if err != nil {
			t.Fatal(err)
		}
		got, err := OpenReport(a, b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, r) {
			t.Fatalf("got  %+v\nwant %+v", got, r)
		}
	})
}

func TestNotesArrive(t *testing.T) {
	t.Parallel()
	a := cast().account
	for _, n := range []*Note{exampleNote(), {Device: id.Device{1}, At: time.Unix(0, 0).UTC()}} {
		b, err := n.Seal(a.Space(), a.IdentityPublic())
		if err != nil {
			t.Fatal(err)
		}
		got, err := OpenNote(a, b)
		if err != nil || !reflect.DeepEqual(got, n) {
			t.Fatalf("got %+v, %v, want %+v", got, err, n)
		}
	}
}

func TestOnlyTheOwnerReadsAndItsDevicesTell(t *testing.T) {
	t.Parallel()
	p := cast()
	type kind struct {
		seal func(*keyring.Space, []byte) ([]byte, error)
		open func(*keyring.Account, []byte) error
		most int
	}
	for name, k := range map[string]kind{
		"report": {exampleReport().Seal, func(a *keyring.Account, b []byte) error { _, err := OpenReport(a, b); return err }, MaxSealedReport},
		"note":   {exampleNote().Seal, func(a *keyring.Account, b []byte) error { _, err := OpenNote(a, b); return err }, MaxSealedNote},
	} {
		b, err := k.seal(p.account.Space(), p.account.IdentityPublic())
		if err != nil {
			t.Fatal(err)
		}
		if err := k.open(p.stranger, b); !errors.Is(err, keyring.ErrWrongKey) {
			t.Errorf("%s, another account: %v", name, err)
		}
		forged, err := k.seal(p.stranger.Space(), p.account.IdentityPublic())
		if err != nil {
			t.Fatal(err)
		}
		if err := k.open(p.account, forged); !errors.Is(err, ErrForged) {
			t.Errorf("%s, forged: %v", name, err)
		}
		if err := k.open(p.account, make([]byte, k.most+1)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s, too long: %v", name, err)
		}
		if _, err := k.seal(p.account.Space(), []byte("no key")); err == nil {
			t.Errorf("%s sealed to no key", name)
		}
	}
	// One is not taken for the other.
	b, err := exampleNote().Seal(p.account.Space(), p.account.IdentityPublic())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReport(p.account, b); !errors.Is(err, keyring.ErrWrongKey) {
		t.Errorf("a note as a report: %v", err)
	}
}

func TestSealMendsWhatItCan(t *testing.T) {
	t.Parallel()
	a := cast().account
	reopen := func(r *Report) *Report {
		t.Helper()
		b, err := r.Seal(a.Space(), a.IdentityPublic())
		if err != nil {
			t.Fatal(err)
		}
		got, err := OpenReport(a, b)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	r := exampleReport()
	r.Error = strings.Repeat("é", maxText)
	r.Failures, r.FailureCount = nil, 3 // fewer than there are
	for i := range MaxFailures + 5 {
		r.Failures = append(r.Failures, Failure{fmt.Sprint("p", i), "bad \xff sector"})
	}
	got := reopen(r)
	if got.Error != strings.Repeat("é", maxText/2) {
		t.Errorf("error %q", got.Error)
	}
	if len(got.Failures) != MaxFailures || got.FailureCount != MaxFailures+5 || got.Failures[0].Text != "bad \ufffd sector" {
		t.Errorf("%d failures of %d, the first %v", len(got.Failures), got.FailureCount, got.Failures[0])
	}
	if len(r.Failures) != MaxFailures+5 || r.FailureCount != 3 {
		t.Error("Seal changed the report")
	}
	// The longest of everything fits, and some is only counted.
	for i := range r.Failures {
		r.Failures[i] = Failure{strings.Repeat("x", 32_767), strings.Repeat("y", 2000)}
	}
	if got := reopen(r); len(got.Failures) != maxFailureBytes/(32_767+maxText+9) || got.FailureCount != MaxFailures+5 {
		t.Errorf("%d failures of %d", len(got.Failures), got.FailureCount)
	}

	n := exampleNote()
	n.Text = "ca\xe9" + strings.Repeat("é", MaxNote) // the limit is within a character
	b, err := n.Seal(a.Space(), a.IdentityPublic())
	if err != nil {
		t.Fatal(err)
	}
	note, err := OpenNote(a, b)
	if err != nil || len(note.Text) != MaxNote-1 || !strings.HasPrefix(note.Text, "ca\ufffdé") || !strings.HasSuffix(note.Text, "é") {
		t.Errorf("%d bytes of text, %v", len(note.Text), err)
	}
}

func wrongReports() map[string]func(*Report) {
	return map[string]func(*Report){
		"no order":          func(r *Report) { r.Order = ID{} },
		"no snapshot":       func(r *Report) { r.Snapshot = id.Snapshot{} },
		"no device":         func(r *Report) { r.Device = id.Device{} },
		"negative files":    func(r *Report) { r.Files = -1 },
		"negative folders":  func(r *Report) { r.Dirs = -1 },
		"negative others":   func(r *Report) { r.Others = -1 },
		"negative bytes":    func(r *Report) { r.Bytes = -1 },
		"negative skipped":  func(r *Report) { r.Skipped = -1 },
		"negative failures": func(r *Report) { r.FailureCount, r.Failures = -1, nil },
	}
}

func TestWrongReportsAndNotes(t *testing.T) {
	t.Parallel()
	a := cast().account
	for name, change := range wrongReports() {
		r := exampleReport()
		change(r)
		if name != "negative failures" { // which Seal mends
			if _, err := r.Seal(a.Space(), a.IdentityPublic()); err == nil {
				t.Errorf("%s: sealed", name)
			}
		}
		if _, err := decodeReport(r.encode()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Report){
		"more listed than there": func(r *Report) { r.FailureCount = 1 },
		"too many failures":      func(r *Report) { r.Failures = make([]Failure, MaxFailures+1); r.FailureCount = 1 << 40 },
		"a long text":            func(r *Report) { r.Failures[0].Text = strings.Repeat("a", maxText+1) },
		"a long error":           func(r *Report) { r.Error = strings.Repeat("a", maxText+1) },
		"text that is not UTF-8": func(r *Report) { r.Error = "\xff" },
	} {
		r := exampleReport()
		change(r)
		if _, err := decodeReport(r.encode()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Report){
		"never started": func(r *Report) { r.Started = time.Time{} },
		"never ended":   func(r *Report) { r.Finished = time.Time{} },
	} {
		r := exampleReport()
		change(r)
		if _, err := r.Seal(a.Space(), a.IdentityPublic()); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
	for name, n := range map[string]*Note{"no device": {At: issued}, "no time": {Device: id.Device{1}}} {
		if _, err := n.Seal(a.Space(), a.IdentityPublic()); err == nil {
			t.Errorf("a note with %s: sealed", name)
		}
	}
	long := exampleNote()
	long.Text = strings.Repeat("a", MaxNote+1)
	for name, n := range map[string]*Note{"no device": {At: issued}, "a long text": long} {
		if _, err := decodeNote(n.encode()); !errors.Is(err, ErrMalformed) {
			t.Errorf("a note with %s: %v", name, err)
		}
	}
}

func TestReportDecodersAreStrict(t *testing.T) {
	t.Parallel()
	strict(t, exampleReport().encode(), func(b []byte) (encoder, error) { return decodeReport(b) })
	strict(t, exampleNote().encode(), func(b []byte) (encoder, error) { return decodeNote(b) })
	three := bytes.Replace(exampleReport().encode(), []byte("\x82\x45srv/x\x60"), []byte("\x83\x45srv/x\x60\x60"), 1)
	if _, err := decodeReport(three); !errors.Is(err, ErrMalformed) {
		t.Errorf("a failure of three parts: %v", err)
	}
}
