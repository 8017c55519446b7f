//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"holdfast": main}) }

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// exits N PROGRAM ARGS… runs a program that is to end with exit code N.
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: exits N program args…")
				}
				code := 0
				if err := ts.Exec(args[1], args[2:]...); err != nil {
					var exit *exec.ExitError
					if !errors.As(err, &exit) {
						ts.Fatalf("%v", err)
					}
					code = exit.ExitCode()
				}
				if fmt.Sprint(code) != args[0] {
					ts.Fatalf("exit code %d, want %s", code, args[0])
				}
			},
		},
	})
}

// once runs one command in process and returns its exit code and what it printed.
func once(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, func(string) string { return "" }, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// must runs a command that is to succeed and decodes the JSON that it printed.
func must(t *testing.T, v any, args ...string) {
	t.Helper()
	code, out, errs := once(t, append(args, "--json")...)
	if code != 0 {
		t.Fatalf("holdfast %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatalf("holdfast %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// served is a command that serves.
type served struct {
	t    *testing.T
	stop context.CancelFunc
	done chan int
	out  *io.PipeReader
	errs *bytes.Buffer // to be read after done
}

// serve starts a command that serves; the test's end stops it.
func serve(t *testing.T, args ...string) *served {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	s := &served{t: t, stop: cancel, done: make(chan int, 1), out: r, errs: &bytes.Buffer{}}
	go func() {
		s.done <- run(ctx, args, func(string) string { return "" }, strings.NewReader(""), w, s.errs)
		w.Close()
	}()
	t.Cleanup(func() { s.end() })
	return s
}

// end stops it politely and returns the exit code.
func (s *served) end() int {
	s.t.Helper()
	s.stop()
	go io.Copy(io.Discard, s.out)
	select {
	case code := <-s.done:
		s.done <- code
		return code
	case <-time.After(30 * time.Second):
		s.t.Fatal("it does not stop")
		return -1
	}
}

func (s *served) welcome() welcome {
	s.t.Helper()
	var w welcome
	if err := json.NewDecoder(s.out).Decode(&w); err != nil {
		s.t.Fatalf("it did not become ready: %v, exit code %d\n%s", err, s.end(), s.errs)
	}
	return w
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := c.Get(url)
		if err != nil {
			if time.Now().After(end) {
				t.Fatal(err)
			}
			continue
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
}

// dataDir is a fresh folder that another user's PostgreSQL can pass through to.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "data")
}

func TestUp(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	args := []string{"up", "--data", data, "--listen", "127.0.0.1:0", "--json"}
	s := serve(t, args...)
	first := s.welcome()
	if code, body := get(t, first.URL+"/readyz"); code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	if first.SetupURL != first.URL+"/setup#"+first.SetupToken || first.Fingerprint != "" {
		t.Errorf("%+v", first)
	}
	if info, err := os.Stat(filepath.Join(data, "secret")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("secret: %v, %v", info.Mode(), err)
	}

	// Commands beside it.
	var inv struct{ Token, URL, Role string }
	must(t, &inv, "invite", "--data", data, "--email", "ann@example.org", "--name", "Ann", "--role", "admin")
	if inv.URL != first.URL+"/join#"+inv.Token || inv.Role != "admin" {
		t.Errorf("%+v", inv)
	}
	var health struct{ OK bool }
	must(t, &health, "doctor", "--data", data)
	must(t, nil, "scrub", "--all", "--data", data)
	must(t, nil, "rebuild-index", "--data", data)
	must(t, nil, "migrate", "--data", data)
	if code, _, errs := once(t, args...); code != 1 || !strings.Contains(errs, "another holdfast") {
		t.Errorf("a second one on the same directory: %d %s", code, errs)
	}
	if code := s.end(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, s.errs)
	}

	// Without it: private servers for the moment.
	code, out, _ := once(t, "doctor", "--data", data)
	if code != 1 || !strings.Contains(out, "WRONG  service") || strings.Count(out, "WRONG") != 1 {
		t.Errorf("doctor while nothing runs: %d\n%s", code, out)
	}
	var list struct{ Users []person }
	must(t, &list, "user", "list", "--data", data)
	if len(list.Users) != 0 {
		t.Errorf("%+v", list)
	}

	// Again: a new setup link, the same secret; then without the secret, once there are users.
	s = serve(t, args...)
	if again := s.welcome(); again.SetupToken == first.SetupToken || again.SetupToken == "" {
		t.Errorf("%+v", again)
	}
	join(t, depot.Config{DatabaseURL: endpoint(t, data)}, inv.Token)
	s.end()
	secret := filepath.Join(data, "secret")
	if err := os.Rename(secret, secret+".away"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if code, _, errs := once(t, args...); code != 1 || !strings.Contains(errs, "put the old file back") {
			t.Errorf("without its secret: %d %s", code, errs)
		}
	}
}

// endpoint returns the address of the private PostgreSQL of a running up.
func endpoint(t *testing.T, data string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(data, "endpoints.json"))
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		URL string `json:"database_url"`
	}
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	return e.URL
}

// join accepts an invitation.
func join(t *testing.T, cfg depot.Config, token string) {
	t.Helper()
	d, err := depot.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, err = d.Accounts.Join(t.Context(), account.JoinInput{
		Token: token, Name: "N", IdentityPublic: make([]byte, 1216),
		Keys:     account.Keys{Params: account.LoginParams{Salt: make([]byte, 16), Time: 3, Memory: 64 << 10, Threads: 4}, AuthKey: make([]byte, 32), Bundle: make([]byte, 64)},
		Recovery: account.Recovery{AuthKey: make([]byte, 32), Bundle: make([]byte, 64)},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestUpWithItsOwnAuthority(t *testing.T) {
	t.Parallel()
	_, database := pgtest.Empty(t)
	data := dataDir(t)
	s := serve(t, "up", "--data", data, "--listen", "127.0.0.1:0", "--json", "--tls-local", "--database-url", database, "--redis-url", pgtest.Redis(t))
	w := s.welcome()
	if !strings.HasPrefix(w.URL, "https://127.0.0.1:") || len(w.Fingerprint) != 64 {
		t.Fatalf("%+v", w)
	}
	if code, body := get(t, w.URL+"/readyz"); code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	// Commands find the outside database by what up has noted.
	must(t, nil, "user", "list", "--data", data)
	must(t, nil, "doctor", "--data", data)
	var text bytes.Buffer
	w.write(&text, true)
	if !strings.Contains(text.String(), "--fingerprint "+w.Fingerprint) || !strings.Contains(text.String(), w.SetupURL) {
		t.Errorf("%s", text.String())
	}
	if code := s.end(); code != 0 {
		t.Errorf("exit code %d\n%s", code, s.errs)
	}
}

// The halves apart, on outside servers.
func TestServerAndWorker(t *testing.T) {
	t.Parallel()
	_, database := pgtest.Empty(t)
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 40)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	place := []string{"--database-url", database, "--store", "file://" + filepath.Join(dir, "store")}
	part := append([]string{"--redis-url", pgtest.Redis(t), "--secret-file", secret}, place...)

	if code, _, errs := once(t, append([]string{"worker"}, part...)...); code != 1 || !strings.Contains(errs, "mount it") && !strings.Contains(errs, "migrate") {
		t.Errorf("a worker before migrate: %d %s", code, errs)
	}
	must(t, nil, append([]string{"migrate"}, place...)...)
	port := freePort(t)
	s := serve(t, append([]string{"server", "--listen", port, "--public-url", "https://backup.example.org/"}, part...)...)
	wk := serve(t, append([]string{"worker", "--log-level", "debug"}, part...)...)
	if code, body := get(t, "http://"+port+"/readyz"); code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	if code, _, errs := once(t, append([]string{"server", "--listen", port}, part...)...); code != 1 || !strings.Contains(errs, "cannot listen on "+port) {
		t.Errorf("twice on one port: %d %s", code, errs)
	}
	for _, name := range []string{"ann", "bob"} {
		var inv struct{ Token, URL string }
		must(t, &inv, append([]string{"invite", "--email", name + "@example.org", "--name", name}, place...)...)
		if inv.URL != "" {
			t.Errorf("a link to nowhere: %s", inv.URL)
		}
		join(t, depot.Config{DatabaseURL: database}, inv.Token)
	}
	people(t, place)
	for _, x := range []*served{s, wk} {
		if code := x.end(); code != 0 {
			t.Errorf("exit code %d\n%s", code, x.errs)
		}
	}
}

// people goes through what operators do to users.
func people(t *testing.T, place []string) {
	t.Helper()
	user := func(code int, words string, args ...string) person {
		t.Helper()
		got, out, errs := once(t, append(append([]string{"user"}, args...), append(place, "--json")...)...)
		if got != code || !strings.Contains(errs, words) {
			t.Fatalf("user %v: %d %s", args, got, errs)
		}
		var p person
		json.Unmarshal([]byte(out), &p)
		return p
	}
	if p := user(0, "", "promote", "ANN@example.org"); p.Role != actor.Admin {
		t.Errorf("%+v", p)
	}
	if p := user(0, "", "promote", "ann@example.org", "--role", "superuser"); p.Role != actor.Superuser {
		t.Errorf("%+v", p)
	}
	user(1, "last active superuser", "demote", "ann@example.org")
	user(1, "last active superuser", "suspend", "ann@example.org")
	user(2, "wrong direction", "promote", "ann@example.org", "--role", "staff")
	user(2, "wrong direction", "demote", "bob@example.org", "--role", "admin")
	user(1, "no user with the e-mail eve@example.org", "suspend", "eve@example.org")
	user(2, "not an e-mail", "suspend", "eve")
	if p := user(0, "", "suspend", "bob@example.org"); !p.Suspended {
		t.Errorf("%+v", p)
	}
	code, out, _ := once(t, append([]string{"user", "list"}, place...)...)
	if code != 0 || !strings.Contains(out, "bob@example.org  bob") && !strings.Contains(out, "suspended") {
		t.Errorf("%d\n%s", code, out)
	}
	if p := user(0, "", "resume", "bob@example.org"); p.Suspended {
		t.Errorf("%+v", p)
	}
	user(1, "has no second factor", "reset-second-factor", "bob@example.org")
	user(2, "destroys all backups of bob@example.org", "reset", "bob@example.org")
	user(2, "destroys all backups", "reset", "bob@example.org", "--confirm", "ann@example.org")
	user(1, "no user with the e-mail eve@example.org", "reset", "eve@example.org", "--confirm", "eve@example.org")
	user(1, "last active superuser", "reset", "ann@example.org", "--confirm", "ann@example.org")
	code, out, errs := once(t, append([]string{"user", "reset", "bob@example.org", "--confirm", "BOB@example.org", "--public-url", "https://backup.example.org"}, place...)...)
	if code != 0 || !strings.Contains(out, "https://backup.example.org/join#hfi_") || !strings.Contains(out, "0 snapshots") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	code, out, _ = once(t, append([]string{"user", "list"}, place...)...)
	if code != 0 || !strings.Contains(out, "waiting to join again") {
		t.Errorf("%d\n%s", code, out)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l := listenFlags{addr: "127.0.0.1:0"}
	ln, err := l.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestPublicURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "https://backup.example.org": "https://backup.example.org", "https://backup.example.org/": "https://backup.example.org",
		"http://127.0.0.1:8440": "http://127.0.0.1:8440", "https://x/y": "!", "ftp://x": "!", "x": "!", "https://u:p@x": "!", "https://x?y": "!", "https://x#y": "!", "https://": "!",
	} {
		got, err := checkURL(in)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestSecretIsMadeOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	type result struct {
		secret string
		made   bool
	}
	results := make(chan result)
	for range 8 {
		go func() {
			s, made, err := makeSecret(file)
			if err != nil {
				t.Error(err)
			}
			results <- result{string(s), made}
		}()
	}
	made, seen := 0, map[string]bool{}
	for range 8 {
		r := <-results
		seen[r.secret] = true
		if r.made {
			made++
		}
	}
	if made != 1 || len(seen) != 1 {
		t.Errorf("made %d times, %d secrets", made, len(seen))
	}
	if s, err := readSecret(file); err != nil || !seen[string(s)] {
		t.Errorf("%v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		f    findings
		bad  bool
		want string
	}{
		{findings{Packs: 3}, false, "Nothing is damaged"},
		{findings{Packs: 3, Adopted: 1, Foreign: 1}, false, "1 packs that the index did not know"},
		{findings{Packs: 3, Damaged: 1, Problems: []problem{{"abc", "its hash is wrong"}}}, true, "abc: its hash is wrong"},
		{findings{Missing: 1}, true, "LOST"}, {findings{Incomplete: 2}, true, "2 snapshots are INCOMPLETE"},
	} {
		var b bytes.Buffer
		c.f.write(&b)
		if c.f.bad() != c.bad || !strings.Contains(b.String(), c.want) {
			t.Errorf("%+v: %v\n%s", c.f, c.f.bad(), b.String())
		}
	}
}

func Example() {
	run(context.Background(), []string{"user", "--help"}, func(string) string { return "" }, strings.NewReader(""), os.Stdout, os.Stdout)
	fmt.Println(run(context.Background(), []string{"bogus"}, func(string) string { return "" }, strings.NewReader(""), os.Stdout, os.Stdout))
	// Output:
	//   user list                 list all users
	//   user promote              give a user a higher role
	//   user demote               give a user a lower role; the last superuser cannot be demoted
	//   user suspend              lock a user and their devices out at once; backups stay
	//   user resume               let a suspended user in again
	//   user reset-second-factor  let a user who has lost their second factor log in with the password only
	//   user reset                start the account anew of a user who has lost password and recovery code; destroys their backups
	//
	// holdfast COMMAND --help says more. Exit codes: 0 done, 1 failed, 2 usage.
	// holdfast: there is no command "bogus": holdfast help lists them
	// 2
}
