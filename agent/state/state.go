// Package state keeps what one enrolled device knows, in one folder.
//
//	device.json   whose device this is, the server, the device's token and keys; 0600
//	lock          held while a backup runs
//	service       held while the resident service runs
//	cache         what the newest snapshot holds; disposable
//	last.json     how the last backup ended; disposable
//	roots.json    which folders the last backup by policy saved
//	orders.json   restore orders that were begun
//	applications.json   where the device's applications are, with the passwords of their databases; 0600
//	applications  what the newest backups of applications hold; disposable
//	restores      what a restore of a database must remember until it is over
//
// Whoever can read the folder can upload as this device, and can see whether the account holds a file whose
// content they have already; they can neither read nor delete any backup, since no key that opens one is
// here: manifests are sealed to the account's public identity. docs/agent.md says more.
//
// The folder and its secrets are for their owner only. On systems with permission bits the folder is refused
// if others can enter it, as is device.json if others can read it: a token that others may have copied is
// better found out than used.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Version of device.json's format.
const Version = 1

// Device is what a device must not lose.
type Device struct {
	Version     int       `json:"version"`
	Server      string    `json:"server"`
	Fingerprint string    `json:"fingerprint,omitempty"` // of the pinned CA certificate; "": the system's authorities
	PlainHTTP   bool      `json:"plainHttp,omitempty"`
	Email       string    `json:"email"` // whose device it is
	ID          id.Device `json:"id"`
	Name        string    `json:"name"`
	Token       string    `json:"token"`
	PrivateKey  []byte    `json:"privateKey"` // the device's own
	SpaceKey    []byte    `json:"spaceKey"`   // 32 bytes
	Identity    []byte    `json:"identity"`   // the account's public key
	EnrolledAt  time.Time `json:"enrolledAt"`
	Home        string    `json:"home,omitempty"` // of the person who enrolled it: what "~" means in a policy; "": not known
	User        string    `json:"user,omitempty"` // who that is on this machine
}

// Last is how a backup ended.
type Last struct {
	Snapshot      id.Snapshot `json:"snapshot,omitzero"` // zero if it failed
	Started       time.Time   `json:"started"`
	Finished      time.Time   `json:"finished"`
	Files         int64       `json:"files"`
	Bytes         int64       `json:"bytes"`
	UploadedBytes int64       `json:"uploadedBytes"`
	Problems      int64       `json:"problems"`
	Error         string      `json:"error,omitempty"`
	Roots         []string    `json:"roots"`
}

// Dir is a state folder.
type Dir struct{ path string }

// Open checks the folder at path, making it if it does not exist.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the state directory %q", path)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, unusable(err, path)
	}
	return at(path)
}

// Find checks the folder at path like Open, but does not make it: without one, the device is not enrolled.
func Find(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the state directory %q", path)
	}
	return at(path)
}

func at(path string) (*Dir, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, notEnrolled(path)
	case err != nil:
		return nil, unusable(err, path)
	case !info.IsDir():
		return nil, fault.New(fault.Invalid, "the state directory %s is not a directory", path)
	}
	if err := private(path, info); err != nil {
		return nil, err
	}
	return &Dir{path}, nil
}

// Path returns the folder's path.
func (d *Dir) Path() string { return d.path }

// Cache returns where the cache lives.
func (d *Dir) Cache() string { return filepath.Join(d.path, "cache") }

// Load reads the device.
func (d *Dir) Load() (*Device, error) {
	path := filepath.Join(d.path, "device.json")
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notEnrolled(d.path)
	} else if err != nil {
		return nil, unusable(err, path)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, unusable(err, path)
	}
	if err := private(path, info); err != nil {
		return nil, err
	}
	var v Device
	if err := json.NewDecoder(f).Decode(&v); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s is damaged: remove it and enrol this machine again. No backup is lost by that", path)
	}
	if v.Version != Version {
		return nil, fault.New(fault.ClientTooOld, "%s is of version %d, and this agent reads version %d: install the release that wrote it, or a newer one", path, v.Version, Version)
	}
	if v.Server == "" || v.Token == "" || v.ID.IsZero() || len(v.SpaceKey) != 32 || len(v.Identity) == 0 || len(v.PrivateKey) == 0 {
		return nil, fault.New(fault.Invalid, "%s is incomplete: remove it and enrol this machine again. No backup is lost by that", path)
	}
	return &v, nil
}

// Save writes the device, durably.
func (d *Dir) Save(v *Device) error {
	v.Version = Version
	return d.write("device.json", v)
}

// Enrolled reports whether there is a device, readable or not.
func (d *Dir) Enrolled() bool {
	_, err := os.Lstat(filepath.Join(d.path, "device.json"))
	return err == nil
}

// Last reads how the last backup ended; nil if none did, or nobody knows any more.
func (d *Dir) Last() *Last {
	b, err := os.ReadFile(filepath.Join(d.path, "last.json"))
	var l Last
	if err != nil || json.Unmarshal(b, &l) != nil {
		return nil
	}
	return &l
}

// SaveLast writes how a backup ended.
func (d *Dir) SaveLast(l *Last) error { return d.write("last.json", l) }

// Roots reads which folders the last backup by policy saved; none if there was none, or nobody knows any more.
func (d *Dir) Roots() []string {
	b, err := os.ReadFile(filepath.Join(d.path, "roots.json"))
	var v struct{ Roots []string }
	if err != nil || json.Unmarshal(b, &v) != nil {
		return nil
	}
	return v.Roots
}

// SaveRoots writes which folders a backup by policy saved.
func (d *Dir) SaveRoots(roots []string) error {
	return d.write("roots.json", map[string]any{"roots": roots})
}

// write replaces a file atomically: it has the old content or the new, whenever the power fails.
func (d *Dir) write(name string, v any) (err error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	f, err := os.CreateTemp(d.path, "."+name+".*") // 0600
	if err != nil {
		return unusable(err, d.path)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(append(b, '\n')); err != nil {
		return unusable(err, d.path)
	}
	if err = f.Sync(); err != nil {
		return unusable(err, d.path)
	}
	if err = f.Close(); err != nil {
		return unusable(err, d.path)
	}
	if err = os.Rename(f.Name(), filepath.Join(d.path, name)); err != nil {
		return unusable(err, d.path)
	}
	return syncDir(d.path)
}

func notEnrolled(path string) error {
	return fault.New(fault.NotFound, "this machine is not enrolled (no device in %s): run holdfast-agent enroll, or name the state directory with --state", path)
}

// unusable says why the folder or a file in it cannot be used. The cause stays reachable: a full disk is
// recognised by it.
func unusable(err error, path string) error {
	if errors.Is(err, fs.ErrPermission) {
		return fault.Wrap(err, fault.Forbidden, "the state directory cannot be used: run holdfast-agent as the user who enrolled this machine, or name another directory with --state")
	}
	return fmt.Errorf("the state directory cannot be used (%s): %w", path, err)
}
