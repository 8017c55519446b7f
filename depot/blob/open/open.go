// Package open opens a blob.Store by its address:
//
//	file:///path/to/folder
//	s3://bucket/prefix?endpoint=https://host:port&region=name
//
// The prefix may be missing; without an endpoint the bucket is at AWS. The keys for S3 come from the environment variables AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, so that no address holds a secret. With keys=NAME they come from NAME_ACCESS_KEY_ID and so
// on: several stores may be with several providers.
package open

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
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

// Same reports whether two addresses are those of one place, as far as the addresses, and links on this machine, tell. It fails with
// BAD_INPUT if one of them is not understood.
func Same(a, b string) (bool, error) {
	x, err := parse(a)
	if err != nil {
		return false, err
	}
	y, err := parse(b)
	if err != nil {
		return false, err
	}
	if x.dir == "" || y.dir == "" {
		return x.dir == y.dir && x.s3.Endpoint == y.s3.Endpoint && x.s3.Bucket == y.s3.Bucket && x.s3.Prefix == y.s3.Prefix, nil
	}
	if x.dir == y.dir {
		return true, nil
	}
	one, err := os.Stat(x.dir)
	if err != nil {
		return false, nil //nolint:nilerr // not there yet, or not mounted: then they are not known to be the same
	}
	other, err := os.Stat(y.dir)
	return err == nil && os.SameFile(one, other), nil
}

// name is the beginning of the names of environment variables.
var name = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

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
			if key != "endpoint" && key != "region" && key != "keys" {
				return place{}, fault.New(fault.Invalid, "the store's address has an unknown setting %q: endpoint, region and keys may be given", key)
			}
		}
		keys := "AWS"
		if q.Has("keys") {
			if keys = q.Get("keys"); !name.MatchString(keys) {
				return place{}, fault.New(fault.Invalid, "keys=%s in the store's address: want the beginning of names of environment variables, such as OFFSITE for OFFSITE_ACCESS_KEY_ID", keys)
			}
		}
		return place{s3: s3.Config{
			Endpoint:     q.Get("endpoint"),
			Region:       q.Get("region"),
			Bucket:       u.Host,
			Prefix:       strings.Trim(u.Path, "/"),
			KeysFrom:     keys,
			AccessKey:    os.Getenv(keys + "_ACCESS_KEY_ID"),
			SecretKey:    os.Getenv(keys + "_SECRET_ACCESS_KEY"),
			SessionToken: os.Getenv(keys + "_SESSION_TOKEN"),
		}}, nil
	}
	return place{}, fault.New(fault.Invalid, "the store's address %q has an unknown kind: want file:///path or s3://bucket/prefix?endpoint=…", address)
}
