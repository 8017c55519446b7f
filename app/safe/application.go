package safe

import (
	"context"
	"encoding/json"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// orderApplication seals an order to put an application back. A device that is not the account's gets none.
func (s *Safe) orderApplication(_ context.Context, c call, in talk.ApplicationOrder) (talk.Ordered, error) {
	var out talk.Ordered
	app, err := parse[id.Application](in.Application)
	if err != nil {
		return out, err
	}
	part, ok := map[string]order.Part{order.Full.String(): order.Full, order.DatabaseOnly.String(): order.DatabaseOnly, order.MediaOnly.String(): order.MediaOnly}[in.Part]
	if !ok {
		return out, fault.New(fault.Invalid, "choose what to restore: full, database or media, not %q", in.Part)
	}
	conflict, ok := map[string]order.Conflict{order.Skip.String(): order.Skip, order.Overwrite.String(): order.Overwrite}[in.Conflict]
	if !ok {
		return out, fault.New(fault.Invalid, "choose what becomes of media that exist already: overwrite or skip, not %q", in.Conflict)
	}
	o := order.Order{To: in.Folder, Conflict: conflict, Application: &order.Application{ID: app, Part: part, Database: in.Database, Bare: in.Bare}}
	return s.seal(c, &o, in.Snapshot, in.Device)
}

// lend gives what sealing needs to a program that asks for it by a port: see app/ingest.
func (s *Safe) lend(ctx context.Context, c call, _ struct{}) (any, error) {
	if c.Out == nil {
		return nil, fault.New(fault.Invalid, "there is nobody to lend keys to: reload the page")
	}
	key := c.keys.SpaceKey()
	b, err := json.Marshal(talk.Lent{SpaceKey: key[:], Identity: c.keys.IdentityPublic()})
	if err == nil {
		err = c.Out.Write(ctx, b)
	}
	if err != nil {
		return nil, err
	}
	return nil, c.Out.Close(ctx)
}
