// Package s3 keeps blobs as objects in a bucket of any S3-compatible store.
//
// A new blob is collected in a temporary file without a name (see os.TempDir) and sent with one PUT that carries its length and
// SHA-256, so the store takes all of it, unharmed, or nothing. The answer to the PUT is the promise of
// durability; whoever runs the store answers for it.
//
// # The mark
//
// [Init] writes a small object .holdfast-store under the prefix, and [Store.List] and [Open] look for it: a mistyped prefix, or a
// bucket that somebody made anew, is an error and not an empty store. An answer "no such object" to a HEAD request, which has no
// body to tell more, is believed only when the bucket is there.
package s3

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const (
	mark       = blob.Mark
	contents   = blob.MarkText + "This object tells a store from a wrong prefix or an emptied bucket: do not remove it.\n"
	mime       = "application/octet-stream"
	maxRetries = 4 // of one request, by the library, with growing pauses

	// maxURL is the longest life that S3 gives an address.
	maxURL = 7 * 24 * time.Hour
)

// Config says where the bucket is and who we are.
type Config struct {
	Endpoint string // scheme://host[:port]; "" is AWS, in Region
	Region   string // "" is us-east-1
	Bucket   string
	Prefix   string // under which all objects lie, without slashes at its ends; may be ""

	AccessKey, SecretKey, SessionToken string // SessionToken may be ""
	KeysFrom                           string // how the names of the variables begin that hold them, for messages; "": AWS
}

// Store is a blob.Store in a bucket.
type Store struct {
	core   minio.Core
	cfg    Config
	prefix string // "" or ending in a slash
	where  string // for messages
}

func connect(cfg Config) (*Store, error) {
	if cfg.Region == "" {
		cfg.Region = "us-east-1" // never asked for: the question needs a right that keys often lack
	}
	if cfg.Endpoint == "" {
		cfg.Endpoint = "https://s3." + cfg.Region + ".amazonaws.com"
	}
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" {
		return nil, fault.New(fault.Invalid, "the S3 endpoint %q is not an address of the form https://host or http://host:port", cfg.Endpoint)
	}
	if cfg.AccessKey == "" || cfg.SecretKey == "" {
		from := cmp.Or(cfg.KeysFrom, "AWS")
		return nil, fault.New(fault.Invalid, "the keys for the S3 bucket %s are missing: set %s_ACCESS_KEY_ID and %s_SECRET_ACCESS_KEY", cfg.Bucket, from, from)
	}
	// Many packs travel at once, to one host.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	transport.ResponseHeaderTimeout = time.Minute
	transport.DisableCompression = true // packs are compressed already, and ranges must be as asked
	client, err := minio.New(u.Host, &minio.Options{
		Creds:      credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, cfg.SessionToken),
		Secure:     u.Scheme == "https",
		Region:     cfg.Region,
		Transport:  transport,
		MaxRetries: maxRetries,
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the S3 endpoint %q cannot be used", cfg.Endpoint)
	}
	s := &Store{core: minio.Core{Client: client}, cfg: cfg, where: "the S3 bucket " + cfg.Bucket + " at " + u.Host}
	if p := strings.Trim(cfg.Prefix, "/"); p != "" {
		if err := blob.CheckName(p); err != nil {
			return nil, fault.New(fault.Invalid, "the prefix %q in the S3 bucket may be made of a-z, 0-9, '.', '_', '-' and '/' only", cfg.Prefix)
		}
		s.prefix = p + "/"
	}
	return s, nil
}

// Init makes the place in the bucket a store. The bucket must be there. A place that holds other objects is refused with fault.Conflict; a store is left as
// it is.
func Init(ctx context.Context, cfg Config) error {
	s, err := connect(cfg)
	if err != nil {
		return err
	}
	switch err := s.marked(ctx); {
	case err == nil:
		return nil
	case !errors.Is(err, errUnmarked):
		return err
	}
	some, err := s.core.ListObjectsV2(s.cfg.Bucket, s.prefix, "", "", "", 1)
	if err != nil {
		return s.fault(ctx, err, "list")
	}
	if len(some.Contents) > 0 {
		return fault.New(fault.Conflict, "%s holds other things under %q and is not a store of holdfast: choose an empty bucket or another prefix", s.where, s.prefix)
	}
	if _, err := s.core.Client.PutObject(ctx, s.cfg.Bucket, s.prefix+mark, strings.NewReader(contents), int64(len(contents)),
		minio.PutObjectOptions{ContentType: "text/plain", DisableMultipart: true}); err != nil {
		return s.fault(ctx, err, "write to")
	}
	return nil
}

// Open opens a store that [Init] has made. A store that a later program has made is refused with fault.Conflict.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.marked(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// errUnmarked is inside the fault for a place without the mark.
var errUnmarked = errors.New("no mark")

// marked fails unless the place is a store: see the package comment.
func (s *Store) marked(ctx context.Context) error {
	// GET, not HEAD: its refusal says whether the bucket or the object is missing.
	r, _, _, err := s.core.GetObject(ctx, s.cfg.Bucket, s.prefix+mark, minio.GetObjectOptions{})
	if err == nil {
		defer r.Close()
		return blob.CheckMark(r, s.where)
	}
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return fault.Wrap(errUnmarked, fault.Unavailable, "%s holds no store under %q (the object %s is missing): check bucket and prefix; the place is not taken for an empty store", s.where, s.prefix, mark)
	}
	return s.fault(ctx, err, "read from")
}

// Open reads a range of a blob.
func (s *Store) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := blob.CheckName(name); err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, fault.New(fault.Invalid, "a blob is read from offset 0 on, not %d", off)
	}
	if n == 0 { // HTTP has no empty range
		_, err := s.Stat(ctx, name)
		return io.NopCloser(bytes.NewReader(nil)), err
	}
	var opts minio.GetObjectOptions
	switch {
	case n > 0:
		opts.Set("Range", rangeHeader(off, n))
	case off > 0:
		opts.Set("Range", rangeHeader(off, -1))
	}
	r, _, _, err := s.core.GetObject(ctx, s.cfg.Bucket, s.prefix+name, opts)
	if err == nil {
		return &reader{r, s, ctx}, nil
	}
	if e := minio.ToErrorResponse(err); e.StatusCode == http.StatusRequestedRangeNotSatisfiable || e.Code == "InvalidRange" {
		return io.NopCloser(bytes.NewReader(nil)), nil // the range begins beyond the end
	}
	return nil, s.missing(ctx, err, name)
}

// reader explains errors in the middle of a stream.
type reader struct {
	io.ReadCloser
	store *Store
	ctx   context.Context
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if err != nil && err != io.EOF {
		err = r.store.fault(r.ctx, err, "read from")
	}
	return n, err
}

// Stat describes a blob.
func (s *Store) Stat(ctx context.Context, name string) (blob.Info, error) {
	if err := blob.CheckName(name); err != nil {
		return blob.Info{}, err
	}
	o, err := s.core.StatObject(ctx, s.cfg.Bucket, s.prefix+name, minio.StatObjectOptions{})
	if err != nil {
		return blob.Info{}, s.missing(ctx, err, name)
	}
	return blob.Info{Name: name, Size: o.Size, ModTime: o.LastModified}, nil
}

// List calls fn for every blob under prefix.
func (s *Store) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	if err := s.marked(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the library's goroutine when fn gives up
	for o := range s.core.Client.ListObjects(ctx, s.cfg.Bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return s.fault(ctx, o.Err, "list")
		}
		name := strings.TrimPrefix(o.Key, s.prefix)
		if blob.CheckName(name) != nil {
			continue // the mark, or what somebody else put there
		}
		if err := fn(blob.Info{Name: name, Size: o.Size, ModTime: o.LastModified}); err != nil {
			return err
		}
	}
	return ctx.Err() // the library may end quietly when the context does
}

// Delete removes a blob.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := blob.CheckName(name); err != nil {
		return err
	}
	err := s.core.RemoveObject(ctx, s.cfg.Bucket, s.prefix+name, minio.RemoveObjectOptions{})
	if err != nil {
		if err = s.missing(ctx, err, name); errors.Is(err, fault.NotFound) {
			return nil
		}
	}
	return err
}

// URL returns a presigned address. Clients reach the endpoint directly, so it must be one that they can reach.
func (s *Store) URL(ctx context.Context, name string, ttl time.Duration) (string, bool, error) {
	if err := blob.CheckName(name); err != nil {
		return "", false, err
	}
	u, err := s.core.PresignedGetObject(ctx, s.cfg.Bucket, s.prefix+name, max(time.Second, min(ttl, maxURL)), nil)
	if err != nil {
		return "", false, s.fault(ctx, err, "sign an address for")
	}
	return u.String(), true, nil
}

// missing turns "no such object" into a certain answer, and other errors into faults.
func (s *Store) missing(ctx context.Context, err error, name string) error {
	switch minio.ToErrorResponse(err).Code {
	case minio.NoSuchKey:
	case "ObjectParentIsFile": // a name below another object, such as a/b/c beside a/b, on a store that is a file system
	default:
		return s.fault(ctx, err, "read from")
	}
	// The answer to HEAD has no body: a missing bucket looks the same.
	if ok, err := s.core.BucketExists(ctx, s.cfg.Bucket); err != nil {
		return s.fault(ctx, err, "read from")
	} else if !ok {
		return s.noBucket(nil)
	}
	return blob.ErrNotFound(name)
}

func (s *Store) noBucket(err error) error {
	return fault.Wrap(err, fault.Unavailable, "%s does not exist: make it, or correct the store's address", s.where)
}

// fault explains a failure.
func (s *Store) fault(ctx context.Context, err error, doing string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e := minio.ToErrorResponse(err)
	switch e.Code {
	case minio.NoSuchBucket:
		return s.noBucket(err)
	case "InvalidAccessKeyId", "XAdminUserNotFound", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken":
		return fault.Wrap(err, fault.Unavailable, "%s refuses our keys (%s): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", s.where, e.Code)
	case minio.AccessDenied:
		return fault.Wrap(err, fault.Unavailable, "we may not %s %s: give our key the rights to list the bucket and to read, write and delete its objects", doing, s.where)
	case "RequestTimeTooSkewed":
		return fault.Wrap(err, fault.Unavailable, "%s says that our clock is wrong: set this machine's clock", s.where)
	case "QuotaExceeded", "XMinioStorageFull", "InsufficientStorage":
		return fault.Wrap(err, fault.StorageFull, "%s is full: nothing was stored", s.where)
	}
	if e.StatusCode == http.StatusInsufficientStorage {
		return fault.Wrap(err, fault.StorageFull, "%s is full: nothing was stored", s.where)
	}
	if errors.As(err, new(*net.OpError)) || errors.As(err, new(*net.DNSError)) {
		return fault.Wrap(err, fault.Unavailable, "%s cannot be reached", s.where)
	}
	return fault.Wrap(err, fault.Unavailable, "cannot %s %s", doing, s.where)
}

// spoolFault explains a failure of the temporary file.
func spoolFault(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fault.Wrap(err, fault.StorageFull, "the disk for temporary files (%s) is full: nothing was stored; make room there, or set TMPDIR to another folder", os.TempDir())
	}
	return fault.Wrap(err, fault.Unavailable, "cannot use the folder for temporary files (%s)", os.TempDir())
}
