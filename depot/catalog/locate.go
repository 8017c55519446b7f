package catalog

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog/index"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const absent = 0xffffffff

// Locations says where up to [MaxIDs] objects of the caller's space lie, with addresses to read the packs from.
// Only a person may ask: a device token must not lead to object bodies.
//
// An object is absent if it was never stored or its pack is lost. An object of a pack that is damaged but still there is
// given, if no sound pack has it: most of such a pack is right, and a reader checks each object by itself.
func (s *Service) Locations(ctx context.Context, a actor.Actor, ids []id.Object) (*ObjectLocations, error) {
	user, err := a.SignedIn()
	if err != nil {
		return nil, err
	}
	return s.locations(ctx, user, ids, s.address)
}

// RelayedLocations is [Service.Locations] with addresses of this server only: for pages, which may read from nowhere else, even
// if the store has addresses of its own.
func (s *Service) RelayedLocations(ctx context.Context, a actor.Actor, ids []id.Object) (*ObjectLocations, error) {
	user, err := a.SignedIn()
	if err != nil {
		return nil, err
	}
	return s.locations(ctx, user, ids, s.relayed)
}

// LocationsForDevice is [Service.Locations] for a device that carries out a restore order of its owner's: of the owner's space. The caller
// has checked that such a restore is under way (run.Service.LocationsAllowed); here any device may ask.
func (s *Service) LocationsForDevice(ctx context.Context, a actor.Actor, ids []id.Object) (*ObjectLocations, error) {
	if _, err := a.RequireDevice(); err != nil {
		return nil, err
	}
	return s.locations(ctx, a.User, ids, s.address)
}

// addressing makes an address for a pack.
type addressing func(ctx context.Context, space id.Space, p index.Located) (*PackLocation, error)

func (s *Service) locations(ctx context.Context, user id.User, ids []id.Object, address addressing) (*ObjectLocations, error) {
	if len(ids) > MaxIDs {
		return nil, fault.New(fault.TooLarge, "ask for at most %d objects at once, not %d", MaxIDs, len(ids))
	}
	out := &ObjectLocations{Packs: []*PackLocation{}, Table: make([]byte, 0, 12*len(ids))}
	found := make([]index.Location, len(ids))
	for i := range found {
		found[i].Pack = -1
	}
	space, err := spaceOf(ctx, s.cfg.DB, user)
	if err != nil {
		return nil, pg.Fault(err)
	}
	if space != nil {
		var packs []index.Located
		if found, packs, err = index.Locate(ctx, s.cfg.DB, space.ID, ids); err != nil {
			return nil, pg.Fault(err)
		}
		for _, p := range packs {
			l, err := address(ctx, space.PublicID, p)
			if err != nil {
				return nil, err
			}
			out.Packs = append(out.Packs, l)
		}
	}
	for _, l := range found {
		at := uint32(absent)
		if l.Pack >= 0 {
			at = uint32(l.Pack)
		}
		out.Table = binary.BigEndian.AppendUint32(out.Table, at)
		out.Table = binary.BigEndian.AppendUint32(out.Table, l.Offset)
		out.Table = binary.BigEndian.AppendUint32(out.Table, l.Length)
	}
	return out, nil
}

// address makes an address of the store's own if it can, or one of this server's.
func (s *Service) address(ctx context.Context, space id.Space, p index.Located) (*PackLocation, error) {
	expires := time.Now().Add(s.cfg.URLTTL).UTC()
	url, ok, err := s.cfg.Store.URL(ctx, packName(space, p.Name), s.cfg.URLTTL)
	switch {
	case err != nil:
		return nil, err
	case ok:
		return &PackLocation{Name: p.Name.String(), Size: int(p.Size), URL: url, ExpiresAt: expires}, nil
	}
	return s.relayed(ctx, space, p)
}

// relayed makes an address of this server's.
func (s *Service) relayed(_ context.Context, space id.Space, p index.Located) (*PackLocation, error) {
	if s.cfg.Sign == nil {
		return nil, errors.New("catalog: no way to sign addresses of packs was configured")
	}
	l := &PackLocation{Name: p.Name.String(), Size: int(p.Size)}
	l.URL, l.ExpiresAt = s.cfg.Sign(space, p.Name, p.Size)
	return l, nil
}

// OpenPack opens a pack for a download. It asks for no actor: the caller has verified an address that
// [Config.Sign] made. A pack that the index does not have is not found.
func (s *Service) OpenPack(ctx context.Context, space id.Space, pack id.Pack) (*PackFile, error) {
	row, err := readPack(ctx, s.cfg.DB, space, pack)
	if err != nil {
		return nil, pg.Fault(err)
	}
	if row == nil || row.Lost {
		return nil, fault.New(fault.NotFound, "there is no such pack")
	}
	return &PackFile{Name: pack, Size: row.Size, ctx: ctx, s: s, blob: packName(space, pack), damaged: row.Damaged}, nil
}

// PackFile reads one pack. It implements [io.ReadSeekCloser], for http.ServeContent; nothing is opened before the first
// Read. It is used by one goroutine at a time.
type PackFile struct {
	Name id.Pack
	Size int64 // bytes

	ctx     context.Context // of the request that it serves
	s       *Service
	blob    string
	damaged bool // it was found wrong in the store
	at      int64
	body    io.ReadCloser
}

// Range opens n bytes from offset off; n < 0 means to the end. What the store does not give, or gives wrong, comes from a spare store
// if there is one.
func (f *PackFile) Range(off, n int64) (io.ReadCloser, error) {
	if f.damaged {
		if r := f.s.spare(f.ctx, f.blob, off, n); r != nil {
			return r, nil
		}
	}
	r, err := f.s.cfg.Store.Open(f.ctx, f.blob, off, n)
	if err != nil && f.ctx.Err() == nil {
		if r := f.s.spare(f.ctx, f.blob, off, n); r != nil {
			return r, nil
		}
	}
	return r, err
}

// Read reads on from where the file stands.
func (f *PackFile) Read(p []byte) (int, error) {
	if f.at >= f.Size {
		return 0, io.EOF
	}
	if f.body == nil {
		body, err := f.Range(f.at, -1)
		if err != nil {
			return 0, err
		}
		f.body = body
	}
	n, err := f.body.Read(p)
	f.at += int64(n)
	if err == io.EOF && f.at < f.Size {
		err = io.ErrUnexpectedEOF // a truncated pack must not look like a whole one
	}
	return n, err
}

// Seek sets where the next Read begins.
func (f *PackFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.Size
	}
	if offset < 0 {
		return 0, errors.New("catalog: seek before the beginning of a pack")
	}
	if offset != f.at {
		f.Close()
		f.at = offset
	}
	return offset, nil
}

// Close ends the reading that is under way.
func (f *PackFile) Close() error {
	if f.body == nil {
		return nil
	}
	err := f.body.Close()
	f.body = nil
	return err
}
