//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestSessions runs the scripts in testdata/sessions: what people type, and what they are told. All of them
// use one server; each gets people of its own.
//
// Beside testscript's own commands there are
//
//	invite VAR EMAIL ROLE        invites a person; $VAR becomes the token, $VAR_LINK the link
//	account NAME                 a person with an account: $NAME_EMAIL, NAME.password, NAME.recovery, --state NAME
//	expect CODE program args…    runs a program and wants this exit code; stdout and stderr can then be matched
//	capture VAR REGEXP           sets $VAR to the first group of what the last program printed
func TestSessions(t *testing.T) {
	t.Parallel()
	s := server(t)
	scripts, err := filepath.Glob("testdata/sessions/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Files: scripts,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(programs.Agent)+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("URL", s.URL)
			env.Setenv("DATA", s.Data)
			env.Setenv("HOLDFAST_DATA", s.Data)
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"invite": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 3 {
					ts.Fatalf("usage: invite VAR EMAIL ROLE")
				}
				token, err := s.Invite(t.Context(), args[1], strings.Split(args[1], "@")[0], args[2])
				ts.Check(err)
				ts.Setenv(args[0], token)
				ts.Setenv(args[0]+"_LINK", s.URL+"/join#"+token) // a script cannot write it: # begins a comment
			},
			"account": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: account NAME")
				}
				people.Lock()
				people.n++
				email := fmt.Sprintf("%s%d@example.org", args[0], people.n)
				people.Unlock()
				token, err := s.Invite(t.Context(), email, args[0], "staff")
				ts.Check(err)
				ts.Check(os.WriteFile(ts.MkAbs(args[0]+".password"), []byte("a long password of "+args[0]+"\n"), 0o600))
				ts.Check(ts.Exec("holdfast-agent", "join", s.URL, "--invite", token, "--password-file", args[0]+".password",
					"--recovery-file", args[0]+".recovery", "--state", args[0]))
				ts.Setenv(strings.ToUpper(args[0])+"_EMAIL", email)
			},
			"expect": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: expect CODE program args…")
				}
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				err = ts.Exec(args[1], args[2:]...)
				code := 0
				if err != nil {
					var exit interface{ ExitCode() int }
					if !asExit(err, &exit) {
						ts.Fatalf("%v", err)
					}
					code = exit.ExitCode()
				}
				if code != want {
					ts.Fatalf("exit code %d, want %d", code, want)
				}
				if strings.Contains(ts.ReadFile("stderr"), "goroutine ") {
					ts.Fatalf("a stack trace is no answer")
				}
			},
			"capture": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 2 {
					ts.Fatalf("usage: capture VAR REGEXP")
				}
				ts.Setenv(args[0], find(ts, args[1], ts.ReadFile("stdout")))
			},
		},
	})
}
