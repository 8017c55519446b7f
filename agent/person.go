package agent

import (
	"os/user"
	"strings"
)

// Person returns the home folder and the name of the person at this machine, "" if nobody knows. Under sudo that is
// who called it, not root: whoever enrols a machine for all of its life means their own files. getenv is os.Getenv.
func Person(getenv func(string) string) (home, name string) {
	return person(getenv, user.Current, user.Lookup)
}

func person(getenv func(string) string, current func() (*user.User, error), lookup func(string) (*user.User, error)) (home, name string) {
	u, err := current()
	if err != nil {
		return getenv("HOME"), getenv("USER")
	}
	if caller := getenv("SUDO_USER"); u.Uid == "0" && caller != "" && caller != u.Username {
		if p, err := lookup(caller); err == nil {
			return p.HomeDir, p.Username
		}
	}
	home = u.HomeDir
	if h := getenv("HOME"); h != "" {
		home = h // what the person's programs go by
	}
	name = u.Username
	if i := strings.LastIndexByte(name, '\\'); i >= 0 { // DOMAIN\name
		name = name[i+1:]
	}
	return home, name
}
