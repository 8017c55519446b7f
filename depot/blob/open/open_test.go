//go:build unix

package open

import (
	"errors"
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
		"", "/var/lib/store", "file://host/path", "file:relative", "file:///a?b=c", "http://example.org", "s3:///prefix", "s3://key:secret@bucket", "s3://b?colour=red", "s3://b?endpoint=nonsense", "\x7f",
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
