//go:build unix

package open

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/blob/blobtest"
	"github.com/holdfast-backup/holdfast/depot/blob/s3/s3test"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestDisk(t *testing.T) {
	t.Parallel()
	address := "file://" + filepath.Join(t.TempDir(), "a folder")
	if _, err := OpenURL(t.Context(), address); !errors.Is(err, fault.Unavailable) {
		t.Errorf("before Init: %v", err)
	}
	for range 2 {
		if err := Init(t.Context(), address); err != nil {
			t.Fatal(err)
		}
	}
	s, err := OpenURL(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	blobtest.Put(t, s, "a", []byte("x"))
}

func TestS3(t *testing.T) { // not parallel: sets the environment
	server := s3test.Start(t)
	server.Bucket(t, "bucket")
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.SecretKey)
	address := "s3://bucket/pre/fix?endpoint=" + server.Endpoint + "&region=us-east-1"
	if err := Init(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	s, err := OpenURL(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	blobtest.Put(t, s, "a", []byte("x"))
}

func TestBadAddresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "/var/lib/store", "file://host/path", "file:relative", "file:///a?b=c", "http://example.org", "s3:///prefix", "s3://key:secret@bucket", "s3://b?colour=red", "s3://b?keys=", "s3://b?keys=off-site", "s3://b?endpoint=nonsense", "\x7f",
	} {
		_, openErr := OpenURL(t.Context(), address)
		for _, err := range []error{openErr, Init(t.Context(), address)} {
			if !errors.Is(err, fault.Invalid) {
				t.Errorf("%q: %v", address, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret@") {
				t.Errorf("%q: the message tells a secret: %v", address, err)
			}
		}
	}
}

// TestKeys: each store may have keys of its own, and who has none is told which.
func TestKeys(t *testing.T) { // not parallel: sets the environment
	server := s3test.Start(t)
	server.Bucket(t, "bucket")
	t.Setenv("OFFSITE_ACCESS_KEY_ID", s3test.AccessKey)
	t.Setenv("OFFSITE_SECRET_ACCESS_KEY", s3test.SecretKey)
	address := "s3://bucket/there?region=us-east-1&endpoint=" + server.Endpoint
	if err := Init(t.Context(), address+"&keys=OFFSITE"); err != nil {
		t.Error(err)
	}
	if _, err := OpenURL(t.Context(), address+"&keys=OFFSITE"); err != nil {
		t.Error(err)
	}
	if _, err := OpenURL(t.Context(), address+"&keys=OTHER_2"); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "set OTHER_2_ACCESS_KEY_ID and OTHER_2_SECRET_ACCESS_KEY") {
		t.Error(err)
	}
}

func TestSame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "a"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	at := "file://" + dir
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{at + "/a", at + "/./a/", true}, {at + "/a", at + "/link", true}, {at + "/a", at + "/b", false}, {at + "/a", at + "/none", false}, {at + "/none", at + "/a", false},
		{at + "/none", at + "/none", true}, {at + "/a", "s3://a", false}, {"s3://b/x", "s3://b/x/?region=eu", true}, {"s3://b/x", "s3://b/y", false}, {"s3://b", "s3://c", false},
		{"s3://b?endpoint=https://one", "s3://b?endpoint=https://two", false},
	} {
		if same, err := Same(c.a, c.b); err != nil || same != c.same {
			t.Errorf("%s and %s: %v, %v", c.a, c.b, same, err)
		}
	}
	for _, bad := range [][2]string{{"x", at}, {at, "x"}} {
		if _, err := Same(bad[0], bad[1]); !errors.Is(err, fault.Invalid) {
			t.Error(err)
		}
	}
}
