package restore

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Address is where a pack can be read from, for a while.
type Address struct {
	Name    string // the pack's
	Size    int64  // bytes
	URL     string
	Expires time.Time // by the server's clock
}

// Packs is a [Remote] over the server's API, whatever carries that: it reads the server's answers about where objects lie, keeps
// the packs' addresses, and renews those that are about to expire or that the store no longer honours. Set its
// functions before it is used. It repeats nothing but that; it is for one restore or one account, and safe for concurrent use.
type Packs struct {
	// Ask asks where objects lie, 16 bytes an object. Its table is that of ObjectLocations in the API.
	Ask func(ctx context.Context, ids []byte) (packs []Address, table []byte, err error)

	// Get fills dst with the bytes of the pack from offset on. stale says that a fresh address may help.
	Get func(ctx context.Context, pack id.Pack, at Address, offset int64, dst []byte) (stale bool, err error)

	// Now is the server's clock, as far as it is known. Nil: nobody knows it, and addresses are renewed when the store refuses them.
	Now func() time.Time

	mu    sync.Mutex
	known map[id.Pack]known
}

// known is an address, and an object of the pack: asking for that again gives a fresh address.
type known struct {
	Address
	sample id.Object
}

// expiryMargin is how long before its expiry an address is renewed: a read must begin, not end, in time.
const expiryMargin = 30 * time.Second

// A row of the table: the pack's index, offset and length, 32 bits each. The index absent says that there is no such object.
const (
	rowSize = 12
	absent  = 0xffffffff
)

// Locate implements [Remote].
func (p *Packs) Locate(ctx context.Context, ids []id.Object) ([]Location, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	question := make([]byte, 0, len(ids)*len(id.Object{}))
	for i := range ids {
		question = append(question, ids[i][:]...)
	}
	packs, table, err := p.Ask(ctx, question)
	if err != nil {
		return nil, err
	}
	nonsense := func(what string) error {
		return fault.New(fault.Internal, "the server's reply about where objects lie makes no sense: %s", what)
	}
	if len(table) != rowSize*len(ids) {
		return nil, nonsense(fmt.Sprintf("%d bytes for %d objects", len(table), len(ids)))
	}
	names := make([]id.Pack, len(packs))
	for i := range packs {
		if names[i], err = id.ParsePack(packs[i].Name); err != nil {
			return nil, nonsense(err.Error())
		}
	}
	samples := make([]id.Object, len(packs))
	locations := make([]Location, len(ids))
	for i := range ids {
		row := table[rowSize*i:]
		index, offset, length := binary.BigEndian.Uint32(row), binary.BigEndian.Uint32(row[4:]), binary.BigEndian.Uint32(row[8:])
		if index == absent {
			continue
		}
		if int64(index) >= int64(len(packs)) {
			return nil, nonsense("an unknown pack")
		}
		if end := int64(offset) + int64(length); length == 0 || end > packs[index].Size {
			return nil, nonsense("an object beyond the end of its pack")
		}
		samples[index] = ids[i]
		locations[i] = Location{Pack: names[index], Offset: offset, Length: length, Stored: true}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[id.Pack]known{}
	}
	for i, a := range packs {
		p.known[names[i]] = known{a, samples[i]}
	}
	return locations, nil
}

// ReadPack implements [Remote].
func (p *Packs) ReadPack(ctx context.Context, name id.Pack, offset int64, dst []byte) error {
	if len(dst) == 0 {
		return nil
	}
	a, err := p.address(ctx, name, false)
	if err != nil {
		return err
	}
	stale, err := p.Get(ctx, name, a, offset, dst)
	if !stale {
		return err
	}
	if a, err = p.address(ctx, name, true); err != nil {
		return err
	}
	_, err = p.Get(ctx, name, a, offset, dst)
	return err
}

// address returns where a pack can be read from now.
func (p *Packs) address(ctx context.Context, name id.Pack, fresh bool) (Address, error) {
	p.mu.Lock()
	a, ok := p.known[name]
	p.mu.Unlock()
	if !ok {
		return a.Address, fault.New(fault.Internal, "pack %s was never located", name)
	}
	if !fresh && (p.Now == nil || p.Now().Add(expiryMargin).Before(a.Expires)) {
		return a.Address, nil
	}
	locations, err := p.Locate(ctx, []id.Object{a.sample})
	if err != nil {
		return a.Address, err
	}
	if locations[0].Pack != name {
		return a.Address, fault.New(fault.NotFound, "pack %s has gone from the server meanwhile: begin the restore again", name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[name].Address, nil
}
