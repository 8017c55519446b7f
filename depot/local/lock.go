//go:build unix

package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

const (
	lockFile      = "lock"
	endpointsFile = "endpoints.json"
)

// Endpoints are the addresses of a running pair of servers.
type Endpoints struct {
	PID         int    `json:"pid"` // of the process that runs them
	DatabaseURL string `json:"database_url"`
	RedisURL    string `json:"redis_url"`
}

// Find returns the servers that another process runs in the data directory, so that `holdfast invite` or `doctor` can work
// beside a running `holdfast up`. It fails with fault.NotFound if none does: then the caller may [Start] its own.
func Find(dir string) (Endpoints, error) {
	var e Endpoints
	none := fault.New(fault.NotFound, "no holdfast is running on %s: start one with `holdfast up --data %s`", dir, dir)
	f, err := os.Open(filepath.Join(dir, lockFile))
	if errors.Is(err, os.ErrNotExist) {
		return e, none
	} else if err != nil {
		return e, fault.Wrap(err, fault.Forbidden, "cannot look into %s: run this command as the user who runs holdfast, or as root", dir)
	}
	defer dropLock(f)
	if flock(f, syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return e, none
	}
	b, err := os.ReadFile(filepath.Join(dir, endpointsFile))
	if errors.Is(err, os.ErrNotExist) {
		return e, fault.New(fault.Unavailable, "the holdfast on %s is just starting or stopping: try again in a moment", dir)
	} else if err != nil {
		return e, fault.Wrap(err, fault.Forbidden, "cannot look into %s: run this command as the user who runs holdfast, or as root", dir)
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return Endpoints{}, fmt.Errorf("%s: %w", filepath.Join(dir, endpointsFile), err)
	}
	return e, nil
}

// takeLock makes this process the only one in the data directory. The lock dies with the process, so
// there is no stale one; children do not inherit it.
func takeLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "cannot write in the data directory %s", dir)
	}
	switch err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		defer f.Close()
		who := ""
		if b, err := io.ReadAll(io.LimitReader(f, 20)); err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
				who = fmt.Sprintf(" (pid %d)", pid)
			}
		}
		return nil, fault.New(fault.Conflict, "another holdfast%s is using %s: stop it first, or choose another --data", who, dir)
	case err != nil:
		f.Close()
		return nil, fault.Wrap(err, fault.Unavailable, "cannot lock the data directory %s: it must be on a file system that supports flock", dir)
	}
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := errors.Join(f.Truncate(0), second(f.WriteAt(pid, 0))); err != nil {
		dropLock(f)
		return nil, fault.Wrap(err, fault.Unavailable, "cannot write in the data directory %s", dir)
	}
	return f, nil
}

// dropLock lets go of a lock and closes its file. Closing alone would not do at once: a child that is just being started has the file, too, until its
// program is loaded.
func dropLock(f *os.File) {
	flock(f, syscall.LOCK_UN)
	f.Close()
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); err != syscall.EINTR {
			return err
		}
	}
}

func second(_ int, err error) error { return err }

func writeEndpoints(dir string, e Endpoints) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, endpointsFile)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot write in the data directory %s", dir)
	}
	return os.Rename(path+".new", path)
}

// takeEndpoints removes the file and returns what was in it, and with it the folder of the sockets
// that a killed predecessor left among the temporary files.
func takeEndpoints(dir string) Endpoints {
	var e Endpoints
	path := filepath.Join(dir, endpointsFile)
	b, err := os.ReadFile(path)
	if err == nil {
		os.Remove(path)
		json.Unmarshal(b, &e) // damaged: as good as none
	}
	return e
}

// redisSocket returns the path of the socket in the Redis address, or "".
func (e Endpoints) redisSocket() string {
	u, err := url.Parse(e.RedisURL)
	if err != nil {
		return ""
	}
	return u.Path
}
