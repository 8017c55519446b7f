package safe

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/app/safe/safetest"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestAnApplicationIsOrderedBack(t *testing.T) {
	t.Parallel()
	r := opened(t)
	app := id.Application{}.New()
	in := talk.ApplicationOrder{Snapshot: r.snap(safetest.Text("database.sql", "x")), Device: r.device(), Application: app.String(),
		Part: "full", Database: "shop_copy", Folder: "/srv/copy", Conflict: "skip"}
	got := must[talk.Ordered](r, talk.MethodOrderApplication, in)
	o, err := order.Open(r.Device, r.Account.Space(), got.Sealed, r.DeviceID, r.clock.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if a := o.Application; a == nil || *a != (order.Application{ID: app, Part: order.Full, Database: "shop_copy"}) || o.To != "/srv/copy" || o.Conflict != order.Skip ||
		o.Snapshot.String() != in.Snapshot || o.ID.String() != got.Order {
		t.Errorf("%+v, %+v", o, o.Application)
	}
	for name, change := range map[string]func(*talk.ApplicationOrder){
		"an application": func(o *talk.ApplicationOrder) { o.Application = "x" },
		"a part":         func(o *talk.ApplicationOrder) { o.Part = "half" },
		"a rule":         func(o *talk.ApplicationOrder) { o.Conflict = "keep-both" },
		"a folder":       func(o *talk.ApplicationOrder) { o.Folder = "copy" },
		"what is left":   func(o *talk.ApplicationOrder) { o.Part = "media" },
	} {
		bad := in
		change(&bad)
		if _, err := ask[any](r, r.safe, talk.MethodOrderApplication, bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s that makes no sense: %v", name, err)
		}
	}
	bad := in
	bad.Device.MAC = append([]byte{1}, bad.Device.MAC[1:]...)
	refused(r, fault.Forbidden, talk.MethodOrderApplication, bad)
}

func TestKeysAreLent(t *testing.T) {
	t.Parallel()
	r := opened(t)
	to := new(memory)
	if _, err := askWith[any](r, r.safe, Request{Method: talk.MethodLend, Out: to}, struct{}{}); err != nil {
		t.Fatal(err)
	}
	var lent talk.Lent
	if err := json.Unmarshal(to.Bytes(), &lent); err != nil {
		t.Fatal(err)
	}
	if key := r.Account.SpaceKey(); string(lent.SpaceKey) != string(key[:]) || string(lent.Identity) != string(r.Account.IdentityPublic()) || !to.closed {
		t.Error("what was lent is not what sealing needs")
	}
	refused(r, fault.Invalid, talk.MethodLend, struct{}{}) // nobody borrows
	r.safe.Lock(true)
	if _, err := askWith[any](r, r.safe, Request{Method: talk.MethodLend, Out: new(memory)}, struct{}{}); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("locked keys were lent: %v", err)
	}
}
