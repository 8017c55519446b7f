package remote

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/holdfast-backup/holdfast/vault/remote/internal/api"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

var _ restore.Remote = (*Client)(nil)

// objects is a [restore.Remote]: packs whose objects are asked for in one of the two ways that there are.
type objects struct {
	*restore.Packs
	c *Client
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
	return c.objects(func(ctx context.Context, ids []byte) (*api.LocationFields, error) {
		r, err := api.ObjectLocations(ctx, c.gql(always), api.ObjectLocationsInput{Ids: ids})
		if err != nil {
			return nil, err
		}
		return &r.ObjectLocations, nil
	})
}

// RunRemote returns the objects that a device may read for a restore run: one that it took under this lease, for as long as
// it keeps it. It needs the device's token.
func (c *Client) RunRemote(run id.Run, lease int64) restore.Remote {
	return c.objects(func(ctx context.Context, ids []byte) (*api.LocationFields, error) {
		r, err := api.RunObjectLocations(ctx, c.gql(always), api.RunObjectLocationsInput{Run: run.String(), Lease: lease, Ids: ids})
		if err != nil {
			return nil, err
		}
		return &r.RunObjectLocations, nil
	})
}

func (c *Client) objects(ask func(context.Context, []byte) (*api.LocationFields, error)) *objects {
	return &objects{c: c, Packs: &restore.Packs{
		Ask: func(ctx context.Context, ids []byte) ([]restore.Address, []byte, error) {
			r, err := ask(ctx, ids)
			if err != nil {
				return nil, nil, err
			}
			packs := make([]restore.Address, len(r.Packs))
			for i, p := range r.Packs {
				packs[i] = restore.Address{Name: p.Name, Size: int64(p.Size), URL: p.Url, Expires: p.ExpiresAt}
			}
			return packs, r.Table, nil
		},
		Get: c.get,
		Now: func() time.Time { return time.Now().Add(time.Duration(c.skew.Load())) },
	}}
}

// ReadPack implements [restore.Remote]: one ranged GET, repeated as everything is that may be.
func (o *objects) ReadPack(ctx context.Context, name id.Pack, offset int64, dst []byte) error {
	return o.c.retry(ctx, always, func(ctx context.Context) error { return o.Packs.ReadPack(ctx, name, offset, dst) })
}

// get fills dst. stale says that a fresh address may help.
func (c *Client) get(ctx context.Context, name id.Pack, p restore.Address, offset int64, dst []byte) (stale bool, err error) {
	target, own, err := c.packTarget(p.URL)
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
