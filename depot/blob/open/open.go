// Package open opens a blob.Store by its address:
//
//	file:///path/to/folder
//	s3://bucket/prefix?endpoint=https://host:port&region=name
//
// The prefix may be missing; without an endpoint the bucket is at AWS. The keys for S3 come from the environment variables AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, so that no address holds a secret.
package open

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/disk"
	"github.com/holdfast-backup/holdfast/depot/blob/s3"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// OpenURL opens a store that [Init] has made. It never makes one: a place without the mark of a store is an error
// (fault.Unavailable), because an unmounted disk or a mistyped prefix looks like a new, empty store.
func OpenURL(ctx context.Context, address string) (blob.Store, error) {
	at, err := parse(address)
	if err != nil {
		return nil, err
	}
	if at.dir != "" {
		return disk.Open(at.dir)
	}
	return s3.Open(ctx, at.s3)
}

// Init makes an empty place a store, and leaves a store as it is. It is for the first start of an installation: call it
// only when the catalog knows of no packs yet, or it would make a new store in the place of one that has gone.
func Init(ctx context.Context, address string) error {
	at, err := parse(address)
	if err != nil {
		return err
	}
	if at.dir != "" {
		return disk.Init(at.dir)
	}
	return s3.Init(ctx, at.s3)
}

// place is an address taken apart: a folder, or else a bucket.
type place struct {
	dir string
	s3  s3.Config
}

func parse(address string) (place, error) {
	u, err := url.Parse(address)
	if err != nil {
		return place{}, fault.New(fault.Invalid, "the store's address %q is not understood: want file:///path or s3://bucket/prefix?endpoint=…", address)
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" || !filepath.IsAbs(u.Path) || u.RawQuery != "" {
			return place{}, fault.New(fault.Invalid, "the store's address %q is not of the form file:///absolute/path", address)
		}
		return place{dir: filepath.Clean(u.Path)}, nil
	case "s3":
		if u.Host == "" || u.User != nil {
			return place{}, fault.New(fault.Invalid, "the store's address is not of the form s3://bucket/prefix?endpoint=… (keys go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)")
		}
		q := u.Query()
		for key := range q {
			if key != "endpoint" && key != "region" {
				return place{}, fault.New(fault.Invalid, "the store's address has an unknown setting %q: endpoint and region may be given", key)
			}
		}
		return place{s3: s3.Config{
			Endpoint:     q.Get("endpoint"),
			Region:       q.Get("region"),
			Bucket:       u.Host,
			Prefix:       strings.Trim(u.Path, "/"),
			AccessKey:    os.Getenv("AWS_ACCESS_KEY_ID"),
			SecretKey:    os.Getenv("AWS_SECRET_ACCESS_KEY"),
			SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
		}}, nil
	}
	return place{}, fault.New(fault.Invalid, "the store's address %q has an unknown kind: want file:///path or s3://bucket/prefix?endpoint=…", address)
}
