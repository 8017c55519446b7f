package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// errLocked is what the system-specific lock returns if another process holds it.
var errLocked = errors.New("locked")

// Lock makes sure that one backup, or restore of an application, at a time uses the folder: two backups would void each other's sessions. The
// system drops the lock when the process ends, however it ends. A second Lock is a fault.Conflict that names
// the process which holds it.
func (d *Dir) Lock() (unlock func(), err error) {
	return d.hold("lock", "a backup of this device, or a restore of an application, is running%s: wait until it is done")
}

// LockService makes sure that one resident service at a time uses the folder, as [Dir.Lock] does for backups.
func (d *Dir) LockService() (unlock func(), err error) {
	return d.hold("service", "the service of this device is running already%s: it does what is due by itself")
}

// hold locks a file. taken is what to say if another process holds it, with a place for who that is.
func (d *Dir) hold(name, taken string) (unlock func(), err error) {
	path := filepath.Join(d.path, name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unusable(err, path)
	}
	if err := lock(f); err != nil {
		defer f.Close()
		if errors.Is(err, errLocked) {
			b, _ := io.ReadAll(io.LimitReader(f, 32))
			who := strings.TrimSpace(string(b))
			if who != "" {
				who = " (process " + who + ")"
			}
			return nil, fault.New(fault.Conflict, taken, who)
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	// For the message above only. A reader may see none or an old one.
	if f.Truncate(0) == nil {
		fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return func() { f.Truncate(0); release(f) }, nil
}
