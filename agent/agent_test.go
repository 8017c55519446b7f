package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"correct horse", "0123456789", "ünïcödé!!!"} {
		if err := CheckPassword([]byte(good), "ada@example.org"); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "short", "ünïcödé", "ADA@example.org", "ada@example.org ", "aaaaaaaaaaaaaaa"} {
		if err := CheckPassword([]byte(bad), "ada@example.org"); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := CheckPassword([]byte("adalovelace"), "adalovelace@example.org"); err == nil {
		t.Error("the name in the e-mail was accepted")
	}
}

func TestTreePath(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "/": "", "/home/u/": "home/u", "home/u": "home/u", "./a/../b": "b", "/../..": "", "a//b": "a/b"} {
		if got := treePath(in, false); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{`C:\Users\ada`: "C:/Users/ada", `c:/x\`: "C:/x", `\\`: ""} {
		if got := treePath(in, true); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPattern(t *testing.T) {
	t.Parallel()
	cases := []struct {
		pattern, path string
		want          bool
	}{
		{"report", "home/ada/Report 2.docx", true},
		{"REPORT", "home/ada/report", true},
		{"ada", "home/ada/x", false}, // a name, not a path
		{"home/ada", "home/ada/x", true},
		{"/home", "home/ada/x", true},
		{"/ada", "home/adamant", true},
		{"*.docx", "a/b.docx", true},
		{"*.docx", "a/b.docx.bak", false},
		{"?.go", "x/y.go", true},
		{"/a/*.go", "a/b.go", true},
		{"a/*.go", "a/b.go", true},
		{"a/*.go", "x/a/b.go", false},
	}
	for _, c := range cases {
		match, err := Pattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := match(&tree.Entry{Path: c.path}); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.path, got)
		}
	}
	for _, bad := range []string{"", "[a", "x/["} {
		if _, err := Pattern(bad); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	var ids []id.Snapshot
	for range 5 {
		ids = append(ids, id.Snapshot{}.New())
	}
	n := ShortIDs(ids)
	seen := map[string]bool{}
	for _, v := range ids {
		short := ShortID(v, n)
		if len(short) != n || seen[short] {
			t.Errorf("%s is not unique or not %d long", short, n)
		}
		seen[short] = true
		for _, ref := range []string{short, strings.ToUpper(short), "snp_" + short, v.String()} {
			if !hasIDPrefix(v.String(), ref) {
				t.Errorf("%q does not begin %s", ref, v)
			}
		}
	}
	if hasIDPrefix(ids[0].String(), "") || hasIDPrefix(ids[0].String(), "snp") && !strings.HasPrefix(ids[0].String()[4:], "snp") || hasIDPrefix(ids[0].String(), "dev_") {
		t.Error("matches too much")
	}
	same := []id.Snapshot{ids[0], ids[0]}
	if ShortIDs(same) != 26 {
		t.Error("equal ids")
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 5 << 30: "5.0 GiB", 1 << 62: "4.0 EiB"} {
		if got := Size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	if s := Skew(-20 * time.Minute); !strings.Contains(s, "20m0s ahead of") {
		t.Error(s)
	}
	if s := Skew(20 * time.Minute); !strings.Contains(s, "20m0s behind") {
		t.Error(s)
	}
}

// Every kind of failure has a sentence without its cause, and whoever can act is told how.
func TestAdvice(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.Unauthenticated, fault.WrongPassword, fault.FactorMissing, fault.StorageFull, fault.Unavailable, fault.HashMismatch, fault.SessionExpired, fault.TooMany} {
		err := fmt.Errorf("while at it: %w", fault.Wrap(errors.New("secret detail"), kind, "the sentence"))
		if Sentence(err) != "the sentence" || Advice(err) == "" {
			t.Errorf("%s: %q, %q", kind, Sentence(err), Advice(err))
		}
	}
	if s := Sentence(context.Canceled); s != "interrupted" || Advice(context.Canceled) != "" {
		t.Errorf("interrupted: %q", s)
	}
	if s := Sentence(fmt.Errorf("writing: %w", noSpace)); !strings.Contains(s, "disk is full") || Advice(noSpace) == "" {
		t.Errorf("disk full: %q", s)
	}
	cert := fault.Wrap(&remote.CertificateError{Reason: "pin"}, fault.Unavailable, "pin")
	if Advice(cert) != "" {
		t.Error("a certificate error says it all itself")
	}
}
