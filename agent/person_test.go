package agent

import (
	"errors"
	"os/user"
	"testing"
)

func TestPerson(t *testing.T) {
	t.Parallel()
	ada := &user.User{Uid: "1000", Username: "ada", HomeDir: "/home/ada"}
	root := &user.User{Uid: "0", Username: "root", HomeDir: "/root"}
	lookup := func(name string) (*user.User, error) {
		if name == "ada" {
			return ada, nil
		}
		return nil, user.UnknownUserError(name)
	}
	for name, c := range map[string]struct {
		env        map[string]string
		who        *user.User
		home, user string
	}{
		"a person":          {map[string]string{"HOME": "/home/ada"}, ada, "/home/ada", "ada"},
		"HOME elsewhere":    {map[string]string{"HOME": "/other"}, ada, "/other", "ada"},
		"root":              {map[string]string{"HOME": "/root"}, root, "/root", "root"},
		"sudo":              {map[string]string{"HOME": "/root", "SUDO_USER": "ada"}, root, "/home/ada", "ada"},
		"sudo by root":      {map[string]string{"HOME": "/root", "SUDO_USER": "root"}, root, "/root", "root"},
		"sudo by a nobody":  {map[string]string{"SUDO_USER": "eve"}, root, "/root", "root"},
		"not root, by sudo": {map[string]string{"SUDO_USER": "eve"}, ada, "/home/ada", "ada"},
		"of a domain":       {nil, &user.User{Uid: "S-1-5", Username: `INST\ada`, HomeDir: `C:\Users\ada`}, `C:\Users\ada`, "ada"},
		"unknown":           {map[string]string{"HOME": "/h", "USER": "u"}, nil, "/h", "u"},
	} {
		current := func() (*user.User, error) {
			if c.who == nil {
				return nil, errors.New("no such user")
			}
			return c.who, nil
		}
		home, who := person(func(k string) string { return c.env[k] }, current, lookup)
		if home != c.home || who != c.user {
			t.Errorf("%s: %q, %q", name, home, who)
		}
	}
}
