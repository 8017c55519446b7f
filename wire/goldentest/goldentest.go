// Package goldentest keeps the promise that what was once stored can be read for ever.
//
// A format's vectors lie in testdata, one file for each version of the format, and are never changed: a test reads the
// stored bytes with today's code and, where nothing is random, makes them again. A changed format gets a new
// version and a new file beside the old one. So -update writes a file that is not there, and refuses to
// touch one that is.
package goldentest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write golden files that do not exist yet")

// Load returns the vectors of testdata/name. With -update, and if there is no such file, it writes what
// generate returns first.
func Load[T any](t testing.TB, name string, generate func() T) T {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		write(t, path, generate())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (a new format version needs new vectors: go test -update)", err)
	}
	var v T
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

func write(t testing.TB, path string, v any) {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		t.Logf("%s exists, and is never changed", path)
		return
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Hex is bytes that are hexadecimal digits in a golden file.
type Hex []byte

// MarshalText implements [encoding.TextMarshaler].
func (h Hex) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *Hex) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}
