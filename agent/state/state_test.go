package state

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func sample() *Device {
	return &Device{
		Server: "https://backup.example.org", Email: "ada@example.org", ID: id.Device{1}, Name: "laptop", Token: "hfd_x",
		PrivateKey: make([]byte, 32), SpaceKey: make([]byte, 32), Identity: make([]byte, 8), EnrolledAt: time.Now().UTC().Truncate(time.Second),
	}
}

func open(t *testing.T) *Dir {
	t.Helper()
	d, err := Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	d := open(t)
	if d.Enrolled() {
		t.Error("a new folder is enrolled")
	}
	if _, err := d.Load(); !errors.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "not enrolled") {
		t.Errorf("loading nothing: %v", err)
	}
	want := sample()
	if err := d.Save(want); err != nil {
		t.Fatal(err)
	}
	found, err := Find(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	got, err := found.Load()
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != want.ID || got.Token != want.Token || !got.EnrolledAt.Equal(want.EnrolledAt) || got.Version != Version {
		t.Errorf("loaded %+v, saved %+v", got, want)
	}
	if !d.Enrolled() {
		t.Error("a saved device is not enrolled")
	}
	if runtime.GOOS != "windows" {
		info, err := os.Stat(filepath.Join(d.Path(), "device.json"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("device.json has mode %v, %v", info.Mode(), err)
		}
	}
	names, err := os.ReadDir(d.Path())
	if err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestLast(t *testing.T) {
	t.Parallel()
	d := open(t)
	if d.Last() != nil {
		t.Error("a new folder knows a last backup")
	}
	if err := d.SaveLast(&Last{Files: 3, Error: "no"}); err != nil {
		t.Fatal(err)
	}
	if l := d.Last(); l == nil || l.Files != 3 || l.Error != "no" || !l.Snapshot.IsZero() {
		t.Errorf("last: %+v", l)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		file string
		mode os.FileMode
		kind fault.Kind
		word string
	}{
		{"damaged", `{"version":`, 0o600, fault.Invalid, "damaged"},
		{"incomplete", `{"version":1}`, 0o600, fault.Invalid, "incomplete"},
		{"newer", `{"version":2}`, 0o600, fault.ClientTooOld, "version 2"},
		{"open", `{"version":1}`, 0o640, fault.Forbidden, "chmod 600"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && c.mode != 0o600 {
				return // no permission bits
			}
			d := open(t)
			path := filepath.Join(d.Path(), "device.json")
			if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Load(); fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.word) {
				t.Errorf("got %v, want %s with %q", err, c.kind, c.word)
			}
		})
	}
	if _, err := Find(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fault.NotFound) {
		t.Errorf("a missing folder: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(file); !errors.Is(err, fault.Invalid) {
		t.Errorf("a file: %v", err)
	}
	if runtime.GOOS != "windows" {
		wide := t.TempDir()
		if err := os.Chmod(wide, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(wide); !errors.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "chmod 700") {
			t.Errorf("an open folder: %v", err)
		}
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	d := open(t)
	unlock, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lock(); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "is running") {
		t.Errorf("the second lock: %v", err)
	}
	unlock()
	unlock, err = d.Lock()
	if err != nil {
		t.Fatalf("after unlocking: %v", err)
	}
	unlock()
}

func TestDefault(t *testing.T) {
	t.Parallel()
	cases := []struct {
		goos string
		uid  int
		env  map[string]string
		want string
	}{
		{"linux", 0, map[string]string{"HOME": "/root"}, "/var/lib/holdfast-agent"},
		{"linux", 7, map[string]string{"HOME": "/home/a"}, "/home/a/.local/state/holdfast-agent"},
		{"linux", 7, map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "/s"}, "/s/holdfast-agent"},
		{"linux", 7, map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "relative"}, "/home/a/.local/state/holdfast-agent"},
		{"linux", 7, nil, ""},
		{"darwin", 7, map[string]string{"HOME": "/Users/a"}, "/Users/a/Library/Application Support/Holdfast Agent"},
		{"windows", -1, map[string]string{"ProgramData": "/pd"}, "/pd/Holdfast Agent"},
		{"windows", -1, nil, ""},
	}
	for _, c := range cases {
		got, err := defaultFor(c.goos, c.uid, func(k string) string { return c.env[k] })
		if filepath.ToSlash(got) != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s, uid %d, %v: %q, %v; want %q", c.goos, c.uid, c.env, got, err, c.want)
		}
	}
}
