//go:build unix

package local

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// FindClient returns the path of one of PostgreSQL's client programs, such as pg_dump, for a server of the given major version: of the
// same version or, if there is none, of the next newer one, since older ones refuse the server. It looks where [Start] looks for
// the server's programs. It fails with fault.Unavailable, in words that say what to install.
func FindClient(program string, server int) (string, error) {
	return findClient(program, server, postgresPlaces)
}

func findClient(program string, server int, places []string) (string, error) {
	var candidates, old []string
	for _, place := range places {
		found, _ := filepath.Glob(filepath.Join(place, program)) // the patterns are ours and well-formed
		candidates = append(candidates, found...)
	}
	// Last, because on Debian the one on PATH is a script that chooses a version by itself.
	if p, err := exec.LookPath(program); err == nil {
		candidates = append(candidates, p)
	}
	best, version := "", 0
	for _, path := range candidates {
		if st, err := os.Stat(path); err != nil || st.Mode()&0o111 == 0 {
			continue
		}
		out, err := exec.Command(path, "--version").Output()
		if err != nil {
			continue // not runnable here: another architecture, say
		}
		m := majorVersion.FindSubmatch(out)
		if m == nil {
			continue
		}
		v, err := strconv.Atoi(string(m[1]))
		switch {
		case err != nil:
		case v == server:
			return path, nil
		case v < server:
			old = append(old, fmt.Sprintf("%d (%s)", v, path))
		case best == "" || v < version:
			best, version = path, v
		}
	}
	switch {
	case best != "":
		return best, nil
	case len(old) > 0:
		return "", fault.New(fault.Unavailable, "the database is PostgreSQL %d, but only %s of version %s was found: install version %d (Debian, Ubuntu: apt-get install postgresql-client-%d)",
			server, program, strings.Join(old, ", "), server, server)
	}
	return "", fault.New(fault.Unavailable, "%s was found neither in the usual places nor on PATH: install PostgreSQL's client programs (Debian, Ubuntu: apt-get install postgresql-client-%d; Fedora: dnf install postgresql; Alpine: apk add postgresql-client; macOS: brew install postgresql@17)",
		program, server)
}
