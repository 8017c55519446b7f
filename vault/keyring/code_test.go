package keyring

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

func recoveryCodes() *rapid.Generator[RecoveryCode] {
	return rapid.Custom(func(t *rapid.T) RecoveryCode {
		return RecoveryCode(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "bytes"))
	})
}

func enrolCodes() *rapid.Generator[EnrolCode] {
	return rapid.Custom(func(t *rapid.T) EnrolCode {
		return EnrolCode(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
	})
}

// sloppy is what a hurried person makes of a code that he reads off a screen.
func sloppy(t *rapid.T, s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == '-' {
			b.WriteString(rapid.SampledFrom([]string{"-", " ", "", "  ", " - ", "–", "—", "\t", "_", "\u00a0"}).Draw(t, "between"))
			continue
		}
		switch {
		case r == '0' && rapid.Bool().Draw(t, "oh"):
			r = 'O'
		case r == '1' && rapid.Bool().Draw(t, "eye"):
			r = rapid.SampledFrom([]rune("ILil")).Draw(t, "which")
		case r == 'V' && rapid.Bool().Draw(t, "you"):
			r = 'U'
		}
		if rapid.Bool().Draw(t, "lower") {
			b.WriteString(strings.ToLower(string(r)))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String() + rapid.SampledFrom([]string{"", " ", "\n", "\r\n", "."}).Draw(t, "after")
}

func TestCodesAreReadAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := recoveryCodes().Draw(t, "recovery")
		if got, err := ParseRecoveryCode(sloppy(t, r.String())); err != nil || got != r {
			t.Fatalf("%s read as %s, %v", r, got, err)
		}
		e := enrolCodes().Draw(t, "enrol")
		if got, err := ParseEnrolCode(sloppy(t, e.String())); err != nil || got != e {
			t.Fatalf("%s read as %s, %v", e, got, err)
		}
	})
}

// mistype replaces the symbol at i, not counting dashes, by another.
func mistype(t *rapid.T, s string, i int) string {
	b := []byte(s)
	for at, c := range b {
		if c == '-' {
			continue
		}
		if i == 0 {
			b[at] = rapid.SampledFrom([]byte(strings.ReplaceAll(symbols, string(c), ""))).Draw(t, "instead")
			break
		}
		i--
	}
	return string(b)
}

func TestOneWrongSymbolIsFound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := recoveryCodes().Draw(t, "recovery")
		i := rapid.IntRange(0, 39).Draw(t, "at")
		want := fmt.Sprintf("look at group %d.", i/5+1)
		if _, err := ParseRecoveryCode(mistype(t, r.String(), i)); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Fatalf("%s with symbol %d wrong: %v", r, i, err)
		}
		e := enrolCodes().Draw(t, "enrol")
		i = rapid.IntRange(0, 27).Draw(t, "at")
		want = fmt.Sprintf("probably in group %d.", i/4+1)
		if _, err := ParseEnrolCode(mistype(t, e.String(), i)); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Fatalf("%s with symbol %d wrong: %v", e, i, err)
		}
	})
}

func TestTwoWrongSymbolsShow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := enrolCodes().Draw(t, "enrol")
		i, j := rapid.IntRange(0, 27).Draw(t, "one"), rapid.IntRange(0, 27).Draw(t, "other")
		if s := mistype(t, mistype(t, e.String(), i), j); i != j {
			if got, err := ParseEnrolCode(s); !errors.Is(err, fault.Invalid) {
				t.Fatalf("%s typed as %s: %v, %v", e, s, got, err)
			}
		}
	})
}

func TestNeighboursThatChangePlacesShow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, e := recoveryCodes().Draw(t, "recovery").String(), enrolCodes().Draw(t, "enrol").String()
		swap := func(s string, i, j int) string {
			b := []byte(s)
			b[i], b[j] = b[j], b[i]
			return string(b)
		}
		for i := range len(r) - 1 {
			if r[i] == '-' || r[i+1] == '-' || r[i] == r[i+1] {
				continue
			}
			if _, err := ParseRecoveryCode(swap(r, i, i+1)); err == nil {
				t.Fatalf("%s read as %s", swap(r, i, i+1), r)
			}
		}
		for i := range len(e) - 1 {
			j := i + 1
			if e[j] == '-' {
				j++
			}
			if e[i] == '-' || e[i] == e[j] {
				continue
			}
			if _, err := ParseEnrolCode(swap(e, i, j)); err == nil {
				t.Fatalf("%s read as %s", swap(e, i, j), e)
			}
		}
		groups := strings.Split(r, "-")
		groups[2], groups[6] = groups[6], groups[2]
		if _, err := ParseRecoveryCode(strings.Join(groups, "-")); err == nil || !strings.Contains(err.Error(), "groups 3 and 7") {
			t.Fatalf("two groups changed places: %v", err)
		}
	})
}

func TestMistypedCodesSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	r, e := RecoveryCode{1, 2, 3}.String(), EnrolCode{1, 2, 3}.String()
	recovery := func(s string) error { _, err := ParseRecoveryCode(s); return err }
	enrol := func(s string) error { _, err := ParseEnrolCode(s); return err }
	for _, c := range []struct {
		parse func(string) error
		typed string
		want  string
	}{
		{recovery, "", "A recovery code has 40 letters and digits, in 8 groups of 5; this has 0."},
		{enrol, "", "An enrolment code has 28 letters and digits, in 7 groups of 4; this has 0."},
		{recovery, r[:len(r)-1], "this has 39. Look at group 8."},
		{recovery, r[1:] + "A", "mistyped"}, // a group too short and one too long
		{recovery, strings.ReplaceAll(r, "-", "")[1:], "this has 39."},
		{enrol, e + "A", "this has 29. Look at group 7."},
		{enrol, e[1:3] + e[4:], "this has 26."},
		{recovery, "?" + r, "group 1 has the character '?'"},
		{enrol, e[:6] + "é" + e[7:], "group 2 has the character 'É'"},
		{enrol, e[:6] + "\xff" + e[7:], "group 2 has the character '\ufffd'"},
		{enrol, strings.Repeat("A", 5000), "far too long"},
		{recovery, e, "this has 28."},
		{recovery, "0A" + r[2:10] + "Z" + r[11:], "look at groups 1 and 2."},
	} {
		err := c.parse(c.typed)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want …%s…", c.typed, err, c.want)
		}
	}
	// Two bits of the last symbol belong to nothing.
	data := spread(make([]byte, 16))
	data[25] = 1
	c1, c2 := enrolChecks(data)
	if err := enrol(grouped(append(data, c1, c2), enrolGroup)); !errors.Is(err, fault.Invalid) {
		t.Errorf("bits beyond the code: %v", err)
	}
}

// Errors end up in logs and on screens that others see.
func TestErrorsDoNotRepeatTheCode(t *testing.T) {
	t.Parallel()
	r, e := NewRecoveryCode().String(), NewEnrolCode().String()
	for _, s := range []string{r[:len(r)-1], "?" + r, r + "AA", r + "?"} {
		if _, err := ParseRecoveryCode(s); err == nil || strings.Contains(err.Error(), r[:5]) || strings.Contains(err.Error(), r[6:11]) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{e[:len(e)-1], "?" + e, e + "AA"} {
		if _, err := ParseEnrolCode(s); err == nil || strings.Contains(err.Error(), e[:4]) || strings.Contains(err.Error(), e[5:9]) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	a, b := EnrolCode{1}, EnrolCode{2}
	if a.Token() == b.Token() || !strings.HasPrefix(a.Token(), "hfe_") || len(a.Token()) != 4+43 {
		t.Errorf("tokens %s and %s", a.Token(), b.Token())
	}
}

func FuzzParseEnrolCode(f *testing.F) {
	f.Add("")
	f.Add(EnrolCode{}.String())
	f.Add(strings.ToLower(EnrolCode{1, 2, 3}.String()))
	f.Add(strings.Repeat("Z", 28))
	f.Add("0000-0000-0000-0000-0000-0000-00\xff0")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseEnrolCode(s)
		if err != nil {
			if !errors.Is(err, fault.Invalid) {
				t.Fatal(err)
			}
			return
		}
		if d, err := ParseEnrolCode(c.String()); err != nil || d != c {
			t.Fatalf("%q read as %s, which reads as %s, %v", s, c, d, err)
		}
	})
}

func FuzzParseRecoveryCode(f *testing.F) {
	f.Add("")
	f.Add(RecoveryCode{}.String())
	f.Add(strings.ToLower(RecoveryCode{1, 2, 3}.String()))
	f.Add(strings.Repeat("Z", 40))
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseRecoveryCode(s)
		if err != nil {
			if !errors.Is(err, fault.Invalid) {
				t.Fatal(err)
			}
			return
		}
		if d, err := ParseRecoveryCode(c.String()); err != nil || d != c {
			t.Fatalf("%q read as %s, which reads as %s, %v", s, c, d, err)
		}
	})
}

// FuzzOffer decodes whatever a holder of the code sealed.
func FuzzOffer(f *testing.F) {
	a, err := NewAccount()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(Offer{IdentityPublic: a.IdentityPublic()}.encode())
	f.Add([]byte{0x83, 0x58, 32})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := decodeOffer(b)
		if err == nil && string(o.encode()) != string(b) {
			t.Fatalf("%x and %x are the same offer", b, o.encode())
		}
	})
}
