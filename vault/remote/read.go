package remote

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/holdfast-backup/holdfast/vault/remote/internal/api"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

var _ restore.Remote = (*Client)(nil)

type packName = id.Pack

// packURL is where a pack can be read from, for a while.
type packURL struct {
	url     string
	expires time.Time // by the server's clock
	sample  id.Object // an object of the pack: asking for it again gives a fresh address
	size    int64
}

// expiryMargin is how long before its expiry an address is renewed: a read must begin, not end, in time.
const expiryMargin = 30 * time.Second

// objects is a [restore.Remote]: it asks where objects lie in one of the two ways that there are, and keeps the packs'
// addresses for ReadPack.
type objects struct {
	c   *Client
	ask func(ctx context.Context, ids []byte) (*api.LocationFields, error)

	mu    sync.Mutex
	packs map[packName]packURL
}

// Locate implements [restore.Remote]. It needs a session of the owner's.
func (c *Client) Locate(ctx context.Context, ids []id.Object) ([]restore.Location, error) {
	return c.owned.Locate(ctx, ids)
}

// ReadPack implements [restore.Remote].
func (c *Client) ReadPack(ctx context.Context, name id.Pack, offset int64, dst []byte) error {
	return c.owned.ReadPack(ctx, name, offset, dst)
}

// asOwner makes what Client reads by.
func (c *Client) asOwner() *objects {
	return &objects{c: c, packs: map[packName]packURL{}, ask: func(ctx context.Context, ids []byte) (*api.LocationFields, error) {
		r, err := api.ObjectLocations(ctx, c.gql(always), api.ObjectLocationsInput{Ids: ids})
		if err != nil {
			return nil, err
		}
		return &r.ObjectLocations, nil
	}}
}

// RunRemote returns the objects that a device may read for a restore run: one that it took under this lease, for as long as
// it keeps it. It needs the device's token.
func (c *Client) RunRemote(run id.Run, lease int64) restore.Remote {
	return &objects{c: c, packs: map[packName]packURL{}, ask: func(ctx context.Context, ids []byte) (*api.LocationFields, error) {
		r, err := api.RunObjectLocations(ctx, c.gql(always), api.RunObjectLocationsInput{Run: run.String(), Lease: lease, Ids: ids})
		if err != nil {
			return nil, err
		}
		return &r.RunObjectLocations, nil
	}}
}

// Locate implements [restore.Remote].
func (o *objects) Locate(ctx context.Context, ids []id.Object) ([]restore.Location, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	r, err := o.ask(ctx, join(ids))
	if err != nil {
		return nil, err
	}
	packs, table := r.Packs, r.Table
	nonsense := func(what string) error {
		return fault.New(fault.Internal, "the server's reply about where objects lie makes no sense: %s", what)
	}
	if len(table) != 12*len(ids) {
		return nil, nonsense(fmt.Sprintf("%d bytes for %d objects", len(table), len(ids)))
	}
	names := make([]id.Pack, len(packs))
	for i, p := range packs {
		if names[i], err = id.ParsePack(p.Name); err != nil {
			return nil, nonsense(err.Error())
		}
	}
	samples := make([]id.Object, len(packs))
	locations := make([]restore.Location, len(ids))
	for i := range ids {
		row := table[12*i:]
		index, offset, length := binary.BigEndian.Uint32(row), binary.BigEndian.Uint32(row[4:]), binary.BigEndian.Uint32(row[8:])
		if index == 0xffffffff {
			continue
		}
		if int64(index) >= int64(len(packs)) {
			return nil, nonsense("an unknown pack")
		}
		if end := int64(offset) + int64(length); length == 0 || end > int64(packs[index].Size) {
			return nil, nonsense("an object beyond the end of its pack")
		}
		samples[index] = ids[i]
		locations[i] = restore.Location{Pack: names[index], Offset: offset, Length: length, Stored: true}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, p := range packs {
		o.packs[names[i]] = packURL{url: p.Url, expires: p.ExpiresAt, sample: samples[i], size: int64(p.Size)}
	}
	return locations, nil
}

// address returns where a pack can be read from now.
func (o *objects) address(ctx context.Context, name id.Pack, fresh bool) (packURL, error) {
	o.mu.Lock()
	p, ok := o.packs[name]
	o.mu.Unlock()
	if !ok {
		return p, fault.New(fault.Internal, "pack %s was never located", name)
	}
	now := time.Now().Add(time.Duration(o.c.skew.Load()))
	if !fresh && now.Add(expiryMargin).Before(p.expires) {
		return p, nil
	}
	locations, err := o.Locate(ctx, []id.Object{p.sample})
	if err != nil {
		return p, err
	}
	if locations[0].Pack != name {
		return p, fault.New(fault.NotFound, "pack %s has gone from the server meanwhile: begin the restore again", name)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.packs[name], nil
}

// ReadPack implements [restore.Remote]: one ranged GET. An address that the server no longer honours is
// renewed once.
func (o *objects) ReadPack(ctx context.Context, name id.Pack, offset int64, dst []byte) error {
	if len(dst) == 0 {
		return nil
	}
	fresh := false
	return o.c.retry(ctx, always, func(ctx context.Context) error {
		p, err := o.address(ctx, name, fresh)
		if err != nil {
			return err
		}
		renewable, err := o.c.get(ctx, name, p, offset, dst)
		if renewable && !fresh {
			fresh = true
			if p, err = o.address(ctx, name, true); err != nil {
				return err
			}
			_, err = o.c.get(ctx, name, p, offset, dst)
		}
		return err
	})
}

// get fills dst. renewable says that a fresh address may help.
func (c *Client) get(ctx context.Context, name id.Pack, p packURL, offset int64, dst []byte) (renewable bool, err error) {
	target, own, err := c.packTarget(p.url)
	if err != nil {
		return false, err
	}
	ctx, w := watch(ctx, c.opts.Idle)
	defer w.stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return false, fault.Wrap(err, fault.Internal, "making the request for pack %s", name)
	}
	last := offset + int64(len(dst)) - 1
	r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, last))
	r.Header.Set("User-Agent", c.opts.UserAgent)
	client := c.store
	if own {
		client = c.api // the same pinned connection; the address is signed, and no token goes along
	}
	reply, err := client.Do(r)
	if err != nil {
		return false, c.broken(ctx, w, err)
	}
	defer reply.Body.Close()
	switch code := reply.StatusCode; {
	case code == http.StatusPartialContent:
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusGone, code == http.StatusBadRequest:
		return true, fault.New(fault.Forbidden, "the server does not honour the address that it gave for pack %s (%s). If the clocks of server and storage differ, set them", name, reply.Status)
	case code == http.StatusNotFound:
		return false, fault.New(fault.NotFound, "pack %s is missing from the server's store: its administrator should run holdfast scrub", name)
	case code == http.StatusRequestedRangeNotSatisfiable:
		return false, fault.New(fault.BadPack, "pack %s is shorter in the server's store than it should be: its administrator should run holdfast scrub", name)
	case code == http.StatusOK:
		return false, fault.New(fault.Internal, "whatever stands between here and the store ignores range requests")
	default:
		b, _ := io.ReadAll(io.LimitReader(reply.Body, 4096))
		return false, c.status(reply, b)
	}
	if got := reply.Header.Get("Content-Range"); !strings.HasPrefix(got, fmt.Sprintf("bytes %d-%d/", offset, last)) {
		return false, fault.New(fault.BadPack, "asked for bytes %d to %d of pack %s, and got %q: the pack is not what it should be", offset, last, name, clip(got))
	}
	if _, err := io.ReadFull(&pacedReader{ctx: ctx, r: reply.Body, limit: c.down, w: w}, dst); err != nil {
		return false, c.broken(ctx, w, err)
	}
	return false, nil
}

// packTarget resolves a pack's address. own says that it is the server itself.
func (c *Client) packTarget(address string) (target string, own bool, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", false, fault.Wrap(err, fault.Internal, "the server gave an address that is none")
	}
	base := *c.base
	base.Path += "/"
	u = base.ResolveReference(u)
	own = u.Scheme == c.base.Scheme && u.Host == c.base.Host
	// A store elsewhere must not be less protected than the server is.
	if !own && u.Scheme != "https" && !(u.Scheme == "http" && (c.base.Scheme == "http" || c.opts.PlainHTTP || loopback(u.Hostname()))) {
		return "", false, fault.New(fault.Forbidden, "the server points to an unencrypted store at %s: its administrator should give it https", u.Host)
	}
	return u.String(), own, nil
}

// pacedReader reads a body at the pace that the limit allows.
type pacedReader struct {
	ctx   context.Context
	r     io.Reader
	limit *rate.Limiter
	w     *watchdog
}

func (p *pacedReader) Read(b []byte) (int, error) {
	if p.limit != nil {
		b = b[:min(len(b), p.limit.Burst())]
	}
	n, err := p.r.Read(b)
	if n == 0 {
		return n, err
	}
	p.w.touch()
	if p.limit != nil { // paid for afterwards: only now is it known how much came
		if err := p.limit.WaitN(p.ctx, n); err != nil {
			return n, err
		}
		p.w.touch()
	}
	return n, err
}
