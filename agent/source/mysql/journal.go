package mysql

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A journal is what a restore needs to know after it was killed.
type journal struct {
	Version  int    `json:"version"`  // 1
	Target   string `json:"target"`   // the live database, or the copy to be made
	Fresh    string `json:"fresh"`    // with the new tables
	Old      string `json:"old"`      // for the old ones
	Made     bool   `json:"made"`     // there was no Target before
	Swapping bool   `json:"swapping"` // Target is being changed
	Ended    bool   `json:"ended"`    // Target is what it shall be: Fresh and Old are to be dropped

	Charset   string `json:"charset"` // of Target and whatever is made beside it
	Collation string `json:"collation"`

	NewTables []string    `json:"new_tables"` // once Swapping
	OldTables []string    `json:"old_tables"`
	New       definitions `json:"new"`
	Was       definitions `json:"was"`
	Broken    []string    `json:"broken"` // views of Was
}

// remembered is what the names of our files in the journal's folder begin with.
func (d *Database) remembered() string {
	sum := sha256.Sum256([]byte(d.at.socket + "|" + d.at.host + "|" + d.at.port + "|" + d.at.name))
	return "mysql-" + hex.EncodeToString(sum[:8]) + "."
}

func (d *Database) journalPath() string { return filepath.Join(d.o.Journal, d.remembered()+"json") }

// journal returns the journal, or nil.
func (d *Database) journal() (*journal, error) {
	b, err := os.ReadFile(d.journalPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "cannot read what an earlier restore left behind, %s", d.journalPath())
	}
	j := &journal{}
	if err := json.Unmarshal(b, j); err != nil || j.Version != 1 {
		return nil, fault.Wrap(err, fault.Internal, "%s, which an earlier restore left behind, cannot be understood: look at the database %s and its neighbours by hand, then remove the file", d.journalPath(), d.at.name)
	}
	return j, nil
}

// write makes the journal durable.
func (d *Database) write(j *journal) error {
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	path := d.journalPath()
	if err := func() error {
		f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
		return syncDir(d.o.Journal)
	}(); err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot write down what a restore is about to do, in %s", d.o.Journal)
	}
	return nil
}

// tidy removes files of options that were left behind, which have the password.
func (d *Database) tidy() error {
	entries, err := os.ReadDir(d.o.Journal)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot look for what an earlier restore left behind, in %s", d.o.Journal)
	}
	for _, e := range entries {
		if n := e.Name(); strings.HasPrefix(n, d.remembered()) && strings.HasSuffix(n, optionsEnd) {
			if err := os.Remove(filepath.Join(d.o.Journal, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fault.Wrap(err, fault.Unavailable, "cannot remove %s, which holds a password", n)
			}
		}
	}
	return nil
}

// forget removes the journal.
func (d *Database) forget() error {
	if err := os.Remove(d.journalPath()); err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot remove %s", d.journalPath())
	}
	return nil
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // where folders cannot be synced
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
