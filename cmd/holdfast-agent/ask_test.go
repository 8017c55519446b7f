package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/remote/remotetest"
)

// person answers prompts: each prompt takes the next answer whose key it contains.
type person struct {
	answers []string // "part of the prompt=answer"
	asked   []string
	screen  *bytes.Buffer // what was printed, to copy the recovery code from
}

func (p *person) interactive() bool { return true }

func (p *person) line(prompt string) (string, error) {
	p.asked = append(p.asked, prompt)
	if len(p.answers) == 0 {
		return "", usagef("no answer to %q", prompt)
	}
	key, answer, _ := strings.Cut(p.answers[0], "=")
	if !strings.Contains(prompt, key) {
		return "", fmt.Errorf("asked %q, expected something about %q", prompt, key)
	}
	p.answers = p.answers[1:]
	if answer == "CODE" {
		for line := range strings.Lines(p.screen.String()) {
			if line = strings.TrimSpace(line); strings.Count(line, "-") >= 6 && !strings.Contains(line, " ") {
				return strings.ToLower(strings.ReplaceAll(line, "-", " ")), nil
			}
		}
		return "", errors.New("no code on the screen")
	}
	return answer, nil
}

func (p *person) password(prompt string) ([]byte, error) {
	s, err := p.line(prompt)
	return []byte(s), err
}

// as runs a command as a person at a terminal.
func as(t *testing.T, p *person, args ...string) (code int, out, errout string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p.screen = &stderr
	c := &call{ctx: t.Context(), env: func(k string) string { return map[string]string{"HOME": t.TempDir()}[k] }, out: &stdout, err: &stderr, ask: p}
	if err := dispatch(c, args); err != nil {
		code = c.complain(err)
	}
	if len(p.answers) > 0 {
		t.Errorf("%v: never asked about %q; asked %q\n%s", args, p.answers, p.asked, stderr.String())
	}
	return code, stdout.String(), stderr.String()
}

func TestInteractive(t *testing.T) {
	t.Parallel()
	s := remotetest.New(t)
	state := filepath.Join(t.TempDir(), "state")
	token := s.Invite(remotetest.Invite{})
	code, out, errout := as(t, &person{answers: []string{
		"New password for ada@example.org=short", "New password=ada@example.org", "New password=correct horse battery", "Once more=another",
		"New password=correct horse battery", "Once more=correct horse battery",
		"Type it here=nonsense", "Type it here=" + keyring.NewRecoveryCode().String(), "Type it here=CODE",
	}}, "join", s.URL, "--invite", token, "--email", "ada@example.org", "--name", "Ada")
	if code != 0 || !strings.Contains(out, "Welcome, Ada") {
		t.Fatalf("join: %d\n%s%s", code, out, errout)
	}
	for _, words := range []string{"at least 10", "first password that anybody would try", "These differ", "not this one", "your backups are gone for good"} {
		if !strings.Contains(errout, words) {
			t.Errorf("join did not say %q:\n%s", words, errout)
		}
	}
	recovery := ""
	for line := range strings.Lines(errout) {
		if line = strings.TrimSpace(line); strings.Count(line, "-") >= 6 && !strings.Contains(line, " ") {
			recovery = line
		}
	}
	if code, _, errout := as(t, &person{answers: []string{"Password of ada@example.org=correct horse battery"}}, "enroll", s.URL, "--email", "ada@example.org", "--name", "laptop", "--state", state); code != 0 {
		t.Fatalf("enroll: %d\n%s", code, errout)
	}
	if code, _, errout := as(t, &person{answers: []string{"Password=wrong horse battery"}}, "snapshots", "--state", state); code != 1 || !strings.Contains(errout, "Caps Lock") {
		t.Errorf("a wrong password: %d\n%s", code, errout)
	}
	if code, _, errout := as(t, &person{answers: []string{"Password=correct horse battery", "New password=another horse battery", "Once more=another horse battery", "Type it here=CODE"}},
		"passwd", "--renew-recovery", "--state", state); code != 0 {
		t.Errorf("passwd: %d\n%s", code, errout)
	}
	if code, _, errout := as(t, &person{answers: []string{"Recovery code of ada@example.org=" + recovery}}, "recover", "--state", state); code != 1 || !strings.Contains(errout, "do not match") {
		t.Errorf("the old recovery code: %d\n%s", code, errout)
	}
	if code, _, _ := as(t, &person{answers: []string{"Recovery code=12345"}}, "recover", "--state", state); code != exitUsage {
		t.Errorf("a mistyped recovery code: %d", code)
	}
}

func TestSecondFactor(t *testing.T) {
	t.Parallel()
	s := remotetest.New(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("pw"), []byte("correct horse battery"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errout := as(t, &person{}, "join", s.URL, "--invite", s.Invite(remotetest.Invite{Email: "ada@example.org", Name: "Ada"}), "--password-file", at("pw"), "--recovery-file", at("code")); code != 0 {
		t.Fatal(errout)
	}
	s.Protect("ada@example.org", "111111", "222222", "333333", "444444", "555555")
	const ask = "second factor of ada@example.org"
	if code, _, errout := as(t, &person{answers: []string{ask + "=000000", ask + "=111111"}}, "enroll", s.URL, "--email", "ada@example.org", "--password-file", at("pw"), "--state", at("state")); code != 0 || !strings.Contains(errout, "this code is wrong") {
		t.Fatalf("enroll: %d\n%s", code, errout)
	}
	run := func(p *person, args ...string) (int, string) {
		code, _, errout := as(t, p, append(args, "--state", at("state"))...)
		return code, errout
	}
	if code, errout := run(&person{}, "snapshots", "--password-file", at("pw"), "--second-factor", "222222"); code != 0 {
		t.Errorf("by flag: %d\n%s", code, errout)
	}
	if code, errout := run(&person{}, "snapshots", "--password-file", at("pw"), "--second-factor", "222222"); code != 1 || !strings.Contains(errout, "serves once") {
		t.Errorf("a code that was used: %d\n%s", code, errout)
	}
	if code, errout := run(&person{answers: []string{ask + "=1", ask + "=2", ask + "=3"}}, "snapshots", "--password-file", at("pw")); code != 1 {
		t.Errorf("three wrong codes: %d\n%s", code, errout)
	}
	if code, errout := run(&person{answers: []string{ask + "=333333"}}, "snapshots", "--recovery-file", at("code")); code != 0 {
		t.Errorf("with the recovery code: %d\n%s", code, errout)
	}
	if code, errout := run(&person{answers: []string{"New password=another horse battery", "Once more=another horse battery"}}, "recover", "--recovery-file", at("code"), "--second-factor", "444444"); code != 0 {
		t.Errorf("recover: %d\n%s", code, errout)
	}
	if code, errout := run(&person{}, "enroll", s.URL, "--code", "x", "--second-factor", "1"); code != exitUsage {
		t.Errorf("a one-time code with a second factor: %d\n%s", code, errout)
	}
	// Nobody is there to ask.
	var out, errout bytes.Buffer
	if err := os.WriteFile(at("pw"), []byte("another horse battery"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &call{ctx: t.Context(), env: func(string) string { return "" }, out: &out, err: &errout, ask: console{in: strings.NewReader("")}}
	err := dispatch(c, []string{"snapshots", "--password-file", at("pw"), "--state", at("state")})
	if code := c.complain(err); code != exitUsage || !strings.Contains(errout.String(), "--second-factor CODE") {
		t.Errorf("without a terminal: %d\n%s", code, errout.String())
	}
}

// The server went away after it might have made the account: the recovery code stays.
func TestRecoveryFileIsKeptOnDoubt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for kind, kept := range map[string]bool{"UNAVAILABLE": true, "INTERNAL": true, "NOT_FOUND": false, "FORBIDDEN": false} {
		s := remotetest.New(t)
		token := s.Invite(remotetest.Invite{Email: "ada@example.org", Name: "Ada"})
		s.Fail("Join", failing(kind))
		out := filepath.Join(dir, kind)
		code, _, errout := as(t, &person{}, "join", s.URL, "--invite", token, "--password-file", password, "--recovery-file", out)
		_, err := os.Stat(out)
		if code != 1 || (err == nil) != kept {
			t.Errorf("%s: exit code %d, recovery code kept: %v, want %v\n%s", kind, code, err == nil, kept, errout)
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	s := remotetest.New(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{"pw": "correct horse battery", "file": "content"} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	must := func(args ...string) {
		t.Helper()
		if code, _, errout := as(t, &person{}, args...); code != 0 {
			t.Fatalf("%v: %d\n%s", args, code, errout)
		}
	}
	must("join", s.URL, "--invite", s.Invite(remotetest.Invite{Email: "ada@example.org", Name: "Ada"}), "--password-file", at("pw"), "--recovery-file", at("code"))
	must("enroll", s.URL, "--email", "ada@example.org", "--password-file", at("pw"), "--name", "laptop", "--state", at("state"))

	ctx, cancel := context.WithCancel(t.Context())
	var out, errout bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"status", "--watch", "--json", "--password-file", at("pw"), "--state", at("state")}, func(string) string { return "" }, strings.NewReader(""), &out, &errout)
	}()
	for deadline := time.Now().Add(20 * time.Second); s.Watchers() == 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
	}
	for range 3 { // subscriptions may come later than the connection: events are hints
		must("backup", at("file"), "--state", at("state"))
	}
	time.Sleep(200 * time.Millisecond)
	cancel()
	if code := <-done; code != 0 || !strings.Contains(out.String(), `"state": "committed"`) || !strings.Contains(out.String(), `"name": "laptop"`) {
		t.Errorf("watch: %d\n%s%s", code, out.String(), errout.String())
	}
}
