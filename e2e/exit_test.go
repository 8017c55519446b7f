//go:build linux

package e2e

import (
	"errors"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

func asExit(err error, exit *interface{ ExitCode() int }) bool { return errors.As(err, exit) }

// find returns the first group of the first match.
func find(ts *testscript.TestScript, expr, text string) string {
	re, err := regexp.Compile("(?m)" + expr)
	ts.Check(err)
	m := re.FindStringSubmatch(text)
	if len(m) < 2 {
		ts.Fatalf("%q matches nothing, or has no group, in:\n%s", expr, text)
	}
	return m[1]
}
