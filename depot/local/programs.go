//go:build unix

package local

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// postgresPlaces are where systems keep PostgreSQL's server programs when they are not on PATH.
var postgresPlaces = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // packages of postgresql.org for Fedora, RHEL
	"/usr/lib/postgresql*/bin",                           // SUSE
	"/usr/libexec/postgresql*",                           // Alpine
	"/usr/local/pgsql/bin",                               // from source
	"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew on Apple silicon
	"/usr/local/opt/postgresql@*/bin",                    // Homebrew on Intel
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
}

// redisPlaces likewise. Valkey speaks the same protocol and takes the same options.
var redisPlaces = []string{"/usr/bin", "/usr/local/bin", "/usr/sbin", "/opt/homebrew/bin"}

var redisNames = []string{"redis-server", "valkey-server"}

// postgresPrograms is one installation of PostgreSQL.
type postgresPrograms struct {
	bin   string // folder of postgres and initdb, all links resolved
	major string // such as "15", as in PG_VERSION
}

var majorVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// findPostgres returns the installation to use: for an existing cluster of version want the first of that version, for a new one
// (want is "") what PATH says, else the newest.
func findPostgres(want string, places []string) (postgresPrograms, error) {
	var found []string
	for _, bin := range postgresBins(places) {
		out, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output()
		if err != nil {
			continue // not runnable here: another architecture, say
		}
		m := majorVersion.FindSubmatch(out)
		if m == nil {
			continue
		}
		if p := (postgresPrograms{bin, string(m[1])}); want == "" || want == p.major {
			return p, nil
		}
		found = append(found, string(m[1])+" ("+bin+")")
	}
	if len(found) > 0 {
		return postgresPrograms{}, fault.New(fault.Unavailable, "this data directory was made by PostgreSQL %s, but only %s was found: install version %s (Debian, Ubuntu: apt-get install postgresql-%s), or move the data with pg_upgrade",
			want, strings.Join(found, ", "), want, want)
	}
	return postgresPrograms{}, fault.New(fault.Unavailable, "PostgreSQL's server programs (postgres, initdb) were found neither on PATH nor in the usual places: install them (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; Alpine: apk add postgresql; macOS: brew install postgresql@17), or set HOLDFAST_DATABASE_URL to a PostgreSQL of your own")
}

// postgresBins lists the folders that hold both programs: PATH's first, then the newest version first.
func postgresBins(places []string) []string {
	var bins []string
	add := func(bin string) {
		for _, program := range []string{"postgres", "initdb"} {
			if _, err := exec.LookPath(filepath.Join(bin, program)); err != nil {
				return
			}
		}
		if !slices.Contains(bins, bin) {
			bins = append(bins, bin)
		}
	}
	if p, err := exec.LookPath("postgres"); err == nil {
		// Distributions that put links on PATH keep initdb and the shared files beside the real program.
		if p, err = filepath.EvalSymlinks(p); err == nil {
			add(filepath.Dir(p))
		}
	}
	for _, place := range places {
		dirs, _ := filepath.Glob(place) // the patterns are ours and well-formed
		slices.SortFunc(dirs, func(a, b string) int { return lastNumber(b) - lastNumber(a) })
		for _, dir := range dirs {
			if dir, err := filepath.EvalSymlinks(dir); err == nil {
				add(dir)
			}
		}
	}
	return bins
}

var digits = regexp.MustCompile(`\d+`)

// lastNumber returns the last number in a path, which in all the places above is the major version.
func lastNumber(path string) int {
	all := digits.FindAllString(path, -1)
	if len(all) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(all[len(all)-1]) // out of range: as good as none
	return n
}

// findRedis returns the path of redis-server.
func findRedis(places []string) (string, error) {
	for _, name := range redisNames {
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
		for _, dir := range places {
			p := filepath.Join(dir, name)
			if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
				return p, nil
			}
		}
	}
	return "", fault.New(fault.Unavailable, "redis-server was found neither on PATH nor in the usual places: install it (Debian, Ubuntu: apt-get install redis-server; Fedora: dnf install valkey; Alpine: apk add redis; macOS: brew install redis), or set HOLDFAST_REDIS_URL to a Redis of your own")
}
