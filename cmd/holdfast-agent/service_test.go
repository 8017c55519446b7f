//go:build unix

package main

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/setting"
	"github.com/holdfast-backup/holdfast/server/servertest"
)

// TestServiceSessions runs testdata/service/*.txtar: the program as a service, against the whole server.
//
//	expect CODE COMMAND…     runs a command that must end with this exit code
//	invite NAME EMAIL        sets $NAME to an invitation's token
//	policy NAME LIMIT ROOT…  makes a policy for everyone; LIMIT is of uploads, bytes a second, 0 for none
//	nopolicy NAME            deletes it
//	demand EMAIL             makes somebody an administrator, and has the server want a second factor of administrators
//	later DURATION           moves the server's clock, and does what its worker would
//	capture NAME REGEXP      sets $NAME to the first group of what was printed last
//	await REGEXP COMMAND…    repeats a command until its output matches
//	big FILE                 makes a file of 8 MiB that no compression makes smaller
//
// $URL is the server. The home folder is home.
func TestServiceSessions(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/service",
		Setup: func(env *testscript.Env) error {
			w := servertest.New(t, nil)
			env.Setenv("URL", w.URL)
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("SUDO_USER", "")
			env.Values["world"], env.Values["policies"] = w, map[string]*policy.Policy{}
			return os.MkdirAll(env.WorkDir+"/home", 0o755)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"expect": expectCode,
			"invite": func(ts *testscript.TestScript, neg bool, args []string) {
				ts.Setenv(args[0], ts.Value("world").(*servertest.World).Invite(args[1], args[1], actor.Staff))
			},
			"policy": func(ts *testscript.TestScript, neg bool, args []string) {
				limit, err := strconv.ParseInt(args[1], 10, 64)
				ts.Check(err)
				ts.Value("policies").(map[string]*policy.Policy)[args[0]] = ts.Value("world").(*servertest.World).Policy(args[0], args[2:],
					func(in *policy.Input) { in.UploadLimit = limit })
			},
			"nopolicy": func(ts *testscript.TestScript, neg bool, args []string) {
				ts.Check(ts.Value("world").(*servertest.World).Policies.Delete(t.Context(), actor.System(), ts.Value("policies").(map[string]*policy.Policy)[args[0]].ID))
			},
			"demand": func(ts *testscript.TestScript, neg bool, args []string) {
				w, on := ts.Value("world").(*servertest.World), true
				_, err := w.DB.Exec(`UPDATE users SET role = 'admin' WHERE email = $1`, args[0])
				ts.Check(err)
				_, err = w.Settings.Update(t.Context(), actor.System(), setting.Change{AdminsNeedSecondFactor: &on})
				ts.Check(err)
			},
			"later": func(ts *testscript.TestScript, neg bool, args []string) {
				d, err := time.ParseDuration(args[0])
				ts.Check(err)
				ts.Value("world").(*servertest.World).Shift(d)
				ts.Value("world").(*servertest.World).Tick()
			},
			"capture": func(ts *testscript.TestScript, neg bool, args []string) {
				found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
				if len(found) < 2 {
					ts.Fatalf("no match for %s", args[1])
				}
				ts.Setenv(args[0], found[1])
			},
			"await": await,
			"big": func(ts *testscript.TestScript, neg bool, args []string) {
				b := make([]byte, 8<<20)
				state := uint64(88172645463325252)
				for i := range b {
					state ^= state << 13
					state ^= state >> 7
					state ^= state << 17
					b[i] = byte(state)
				}
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
			},
		},
	})
}

// await repeats a command until its output matches.
func await(ts *testscript.TestScript, neg bool, args []string) {
	const patience = time.Minute
	want := regexp.MustCompile(args[0])
	for begun := time.Now(); ; {
		_, err := codeOf(ts.Exec(args[1], args[2:]...))
		ts.Check(err)
		if want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Since(begun) > patience {
			ts.Fatalf("after %v there is no match for %s", patience, args[0])
		}
		time.Sleep(20 * time.Millisecond) // between two looks
	}
}
