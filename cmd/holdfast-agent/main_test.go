package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/holdfast-backup/holdfast/vault/remote/remotetest"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"holdfast-agent": main})
}

// TestSessions runs testdata/*.txtar: the program against a server of one process, over real HTTP.
//
//	expect CODE COMMAND…    runs a command that must end with this exit code
//	invite NAME EMAIL       sets $NAME to an invitation's token
//	fail OP KIND MESSAGE    makes the next call of an operation fail
//	server KEY VALUE        skew DURATION, minprotocol N: how the server is
//	damage                  flips one bit of each pack
//	capture NAME            sets $NAME to the last output
//	mode FILE OCTAL         checks permissions
//
// $URL is the server, $TLS_URL one with a certificate of its own, $FINGERPRINT its fingerprint, $NOBODY an
// address where nothing listens.
func TestSessions(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			s, secure := remotetest.New(t), remotetest.NewTLS(t)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Setenv("NOBODY", "http://"+l.Addr().String())
			l.Close()
			env.Setenv("URL", s.URL)
			env.Setenv("TLS_URL", secure.URL)
			env.Setenv("FINGERPRINT", secure.Fingerprint)
			env.Setenv("HOME", env.WorkDir)
			env.Values["plain"], env.Values["tls"] = s, secure
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"expect": expectCode,
			"invite": func(ts *testscript.TestScript, neg bool, args []string) {
				i := remotetest.Invite{Email: args[1]}
				if len(args) > 2 {
					i.Name = strings.Join(args[2:], " ")
				}
				ts.Setenv(args[0], ts.Value("plain").(*remotetest.Server).Invite(i))
				ts.Setenv(args[0]+"_TLS", ts.Value("tls").(*remotetest.Server).Invite(i))
			},
			"fail": func(ts *testscript.TestScript, neg bool, args []string) {
				ts.Value("plain").(*remotetest.Server).Fail(args[0], fault.New(fault.Kind(args[1]), "%s", strings.Join(args[2:], " ")))
			},
			"server": func(ts *testscript.TestScript, neg bool, args []string) {
				s := ts.Value("plain").(*remotetest.Server)
				switch args[0] {
				case "skew":
					d, err := time.ParseDuration(args[1])
					ts.Check(err)
					s.Set(func(s *remotetest.Server) { s.Skew = d })
				case "minprotocol":
					n, err := strconv.Atoi(args[1])
					ts.Check(err)
					s.Set(func(s *remotetest.Server) { s.MinProtocol = n })
				}
			},
			"damage": func(ts *testscript.TestScript, neg bool, args []string) {
				s := ts.Value("plain").(*remotetest.Server)
				s.EachPack(func(b []byte) { b[20] ^= 1 })
			},
			"capture": func(ts *testscript.TestScript, neg bool, args []string) {
				ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
			},
			"mode": func(ts *testscript.TestScript, neg bool, args []string) {
				want, err := strconv.ParseUint(args[1], 8, 32)
				ts.Check(err)
				info, err := os.Stat(filepath.Join(ts.Getenv("WORK"), args[0]))
				ts.Check(err)
				if info.Mode().Perm() != os.FileMode(want) {
					ts.Fatalf("%s has mode %v", args[0], info.Mode())
				}
			},
		},
	})
}

// expectCode runs a command that must end with an exit code.
func expectCode(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got, err := codeOf(ts.Exec(args[1], args[2:]...))
	ts.Check(err)
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func codeOf(err error) (int, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}
