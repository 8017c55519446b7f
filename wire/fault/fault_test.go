package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestKindsAreFoundInChains(t *testing.T) {
	t.Parallel()
	plain := New(NotFound, "There is no device %q.", "x")
	cause := Wrap(io.ErrUnexpectedEOF, Unavailable, "The server does not answer.")
	for _, c := range []struct {
		err  error
		kind Kind
		text string
	}{
		{plain, NotFound, `There is no device "x".`},
		{fmt.Errorf("context: %w", plain), NotFound, `context: There is no device "x".`},
		{cause, Unavailable, "The server does not answer.: unexpected EOF"},
		{errors.Join(io.EOF, cause), Unavailable, "EOF\nThe server does not answer.: unexpected EOF"},
		{Wrap(plain, Conflict, "The outer one counts."), Conflict, `The outer one counts.: There is no device "x".`},
		{io.EOF, Internal, "EOF"},
	} {
		if got := KindOf(c.err); got != c.kind {
			t.Errorf("%v: kind %s, want %s", c.err, got, c.kind)
		}
		if c.err.Error() != c.text {
			t.Errorf("text %q, want %q", c.err, c.text)
		}
		if c.err != io.EOF && !errors.Is(c.err, c.kind) {
			t.Errorf("%v: errors.Is does not find its kind", c.err)
		}
		if errors.Is(c.err, TooLarge) {
			t.Errorf("%v: errors.Is finds a kind that is not there", c.err)
		}
	}
	if !errors.Is(cause, io.ErrUnexpectedEOF) || errors.Is(plain, io.EOF) {
		t.Error("the cause is lost")
	}
	if KindOf(nil) != Internal {
		t.Error("no error has a kind")
	}
	if New(Invalid, "x").Unwrap() != nil {
		t.Error("a cause from nowhere")
	}
}

func TestKindsAreWords(t *testing.T) {
	t.Parallel()
	seen := map[Kind]bool{}
	for _, k := range []Kind{Invalid, NotFound, Unauthenticated, WrongPassword, SecondFactor, Forbidden, Conflict, SessionExpired, ObjectsMissing,
		TooLarge, TooMany, HashMismatch, BadPack, StorageFull, Unavailable, ClientTooOld, Internal} {
		if seen[k] {
			t.Errorf("%s is there twice", k)
		}
		seen[k] = true
		for _, r := range k.Error() {
			if r != '_' && (r < 'A' || r > 'Z') {
				t.Errorf("%s is not in SCREAMING_SNAKE", k)
			}
		}
	}
}
