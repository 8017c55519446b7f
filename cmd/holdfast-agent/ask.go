package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/vault/keyring"
)

// asker asks a person. Where there is none, interactive is false and nothing may be asked.
type asker interface {
	interactive() bool
	line(prompt string) (string, error)
	password(prompt string) ([]byte, error) // without echo
}

// console asks on the terminal.
type console struct {
	in  io.Reader
	out io.Writer
}

func (t console) file() (*os.File, bool) {
	f, ok := t.in.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

func (t console) interactive() bool {
	_, ok := t.file()
	return ok
}

func (t console) line(prompt string) (string, error) {
	fmt.Fprint(t.out, prompt)
	s, err := bufio.NewReader(t.in).ReadString('\n')
	if err != nil && s == "" {
		return "", usagef("no answer")
	}
	return strings.TrimSpace(s), nil
}

func (t console) password(prompt string) ([]byte, error) {
	f, ok := t.file()
	if !ok {
		return nil, usagef("there is no terminal to ask on")
	}
	fmt.Fprint(t.out, prompt)
	p, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(t.out)
	if err != nil {
		return nil, usagef("no answer")
	}
	return p, nil
}

// secret returns what opens the account: from a file, or from the person.
func (c *call) secret(email string) (agent.Secret, error) {
	s, err := c.firstSecret(email)
	s.SecondFactor = c.askSecondFactor(email)
	return s, err
}

// tries is how many codes of a second factor a person is asked for.
const tries = 3

// askSecondFactor returns what says the code of the second factor: the flag once, else the person.
func (c *call) askSecondFactor(email string) func(error) (string, error) {
	asked := 0
	return func(refusal error) (string, error) {
		asked++
		switch {
		case c.secondFactor != "" && asked == 1:
			return c.secondFactor, nil
		case c.secondFactor != "" || asked > tries:
			return "", refusal
		case !c.ask.interactive():
			return "", usagef("%s has a second factor, and there is no terminal to ask for its code on: pass --second-factor CODE", email)
		case asked > 1:
			c.remark("%s", agent.Sentence(refusal))
		}
		return c.ask.line("Code of the second factor of " + email + ", or a backup code: ")
	}
}

func (c *call) firstSecret(email string) (agent.Secret, error) {
	if c.recoveryFile != "" {
		code, err := readRecovery(c.recoveryFile)
		return agent.Secret{Recovery: &code}, err
	}
	if c.passwordFile != "" {
		p, err := readPassword(c.passwordFile)
		return agent.Secret{Password: p}, err
	}
	if r, ok := c.ask.(recoveryAsker); ok {
		s, err := r.line("Recovery code of " + email + ": ")
		if err != nil {
			return agent.Secret{}, err
		}
		code, err := keyring.ParseRecoveryCode(s)
		return agent.Secret{Recovery: &code}, err
	}
	if !c.ask.interactive() {
		return agent.Secret{}, usagef("there is no terminal to ask for the password on: pass --password-file (or --recovery-file)")
	}
	p, err := c.ask.password("Password of " + email + ": ")
	return agent.Secret{Password: p}, err
}

// newPassword asks for a new password twice, or reads it.
func (c *call) newPassword(file, email string) ([]byte, error) {
	if file != "" {
		return readPassword(file)
	}
	if !c.ask.interactive() {
		return nil, usagef("there is no terminal to ask for a new password on: pass it in a file")
	}
	for {
		p, err := c.ask.password("New password for " + email + ": ")
		if err != nil {
			return nil, err
		}
		if err := agent.CheckPassword(p, email); err != nil {
			c.remark("%s", agent.Sentence(err))
			continue
		}
		again, err := c.ask.password("Once more: ")
		if err != nil {
			return nil, err
		}
		if bytes.Equal(p, again) {
			return p, nil
		}
		c.remark("These differ.")
	}
}

// readPassword reads a file that holds one line.
func readPassword(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	b, _ = bytes.CutSuffix(b, []byte("\n"))
	b, _ = bytes.CutSuffix(b, []byte("\r"))
	if len(b) == 0 {
		return nil, usagef("%s is empty: it should hold the password", path)
	}
	if bytes.ContainsAny(b, "\n\r") {
		return nil, usagef("%s has several lines: it should hold the password and nothing else", path)
	}
	return b, nil
}

// readRecovery reads a file that keepRecovery wrote, or one that holds the code alone.
func readRecovery(path string) (keyring.RecoveryCode, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return keyring.RecoveryCode{}, unreadable(path, err)
	}
	var code strings.Builder
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "#") {
			code.WriteString(line)
		}
	}
	return keyring.ParseRecoveryCode(strings.TrimSpace(code.String()))
}

func unreadable(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return usagef("%s cannot be read: %v", path, err)
}

const warnRecovery = `
This recovery code opens your account if you forget your password:

    %s

Write it down and keep it where you keep papers, not on this machine. Nobody else
has it, and nobody can make another one for you: if you forget the password and
have lost this code, your backups are gone for good. Whoever finds it can read them.

`

// keepRecovery hands the recovery code to the person and makes sure that it was kept: typed back, or written
// to a file that did not exist before.
func (c *call) keepRecovery(file string) func(email string, code keyring.RecoveryCode) error {
	return func(email string, code keyring.RecoveryCode) error {
		if file != "" {
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if errors.Is(err, fs.ErrExist) {
				return usagef("%s exists already and may hold another account's recovery code: name a new file", file)
			} else if err != nil {
				return usagef("the recovery code cannot be written: %v", err)
			}
			_, err = fmt.Fprintf(f, "# Holdfast recovery code of %s. It opens the account without the password:\n# keep it where you keep papers, not on the machine that it is about.\n%s\n", email, code)
			if err == nil {
				err = f.Sync()
			}
			if cerr := f.Close(); err == nil {
				err = cerr
			}
			if err != nil {
				os.Remove(file)
				return fmt.Errorf("the recovery code cannot be written: %w", err)
			}
			c.wroteRecovery = true
			return nil
		}
		if !c.ask.interactive() {
			return usagef("there is no terminal to show the recovery code on: pass --recovery-file OUT")
		}
		fmt.Fprintf(c.err, warnRecovery, code)
		for {
			s, err := c.ask.line("Type it here to show that you have it: ")
			if err != nil {
				return err
			}
			typed, err := keyring.ParseRecoveryCode(s)
			if err == nil && typed == code {
				return nil
			}
			if err == nil {
				c.remark("That is a code, but not this one.")
			} else {
				c.remark("%s", agent.Sentence(err))
			}
		}
	}
}

// recoveryAsker asks for the recovery code where a password would be asked for first.
type recoveryAsker struct{ asker }
