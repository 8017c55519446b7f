package state

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Order is what is remembered of a restore order until it is over. The server can deliver an order twice, and one that was obeyed
// would put old files over newer ones: so it is obeyed for the run that it came with, until that run's end, and never again.
type Order struct {
	Run     id.Run    `json:"run"`
	Expires time.Time `json:"expires"`       // after that the order itself is void
	End     []byte    `json:"end,omitempty"` // what there is to say of its end, as its writer encoded it; none: it was begun
	Heard   bool      `json:"heard"`         // the server knows of the end

	Safety id.Snapshot `json:"safety,omitzero"` // of an application's: what was there before, once that is committed
}

// BeginOrder remembers that an order was begun for a run, durably. If that run has come to its end before and the server
// did not hear of it, BeginOrder returns what there is to say: then it is said again, and nothing is done. An order that
// was obeyed already is a fault.Conflict. now is the time by which expired orders are forgotten.
func (d *Dir) BeginOrder(order string, run id.Run, expires, now time.Time) (end []byte, err error) {
	all, err := d.orders()
	if err != nil {
		return nil, err
	}
	if o, ok := all[order]; ok {
		if o.Run != run || o.Heard {
			return nil, fault.New(fault.Conflict, "this restore was done already: an order is obeyed once")
		}
		return o.End, nil
	}
	for k, o := range all {
		if now.After(o.Expires) {
			delete(all, k)
		}
	}
	all[order] = &Order{Run: run, Expires: expires}
	return nil, d.write("orders.json", all)
}

// EndOrder remembers how an order ended: end is what there is to say. It is nil once the server has heard it.
func (d *Dir) EndOrder(order string, end []byte) error {
	all, err := d.orders()
	if err != nil {
		return err
	}
	o := all[order]
	if o == nil {
		return fault.New(fault.Internal, "the restore order %s was never begun", order)
	}
	o.End, o.Heard = end, end == nil
	return d.write("orders.json", all)
}

// Safety returns the safety backup that was made for an order; zero: none yet.
func (d *Dir) Safety(order string) (id.Snapshot, error) {
	all, err := d.orders()
	if err != nil || all[order] == nil {
		return id.Snapshot{}, err
	}
	return all[order].Safety, nil
}

// SaveSafety remembers the safety backup that was made for an order that was begun, durably: another attempt at the order
// finds what the first has changed already, and makes none.
func (d *Dir) SaveSafety(order string, s id.Snapshot) error {
	all, err := d.orders()
	if err != nil {
		return err
	}
	o := all[order]
	if o == nil {
		return fault.New(fault.Internal, "the restore order %s was never begun", order)
	}
	o.Safety = s
	return d.write("orders.json", all)
}

// orders reads the file. One that is damaged is an error: without it nobody knows what was obeyed.
func (d *Dir) orders() (map[string]*Order, error) {
	path := filepath.Join(d.path, "orders.json")
	b, err := os.ReadFile(path)
	all := map[string]*Order{}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return all, nil
	case err != nil:
		return nil, unusable(err, path)
	}
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "%s is damaged, and without it a restore could be done twice: remove it, then order the restore again", path)
	}
	return all, nil
}
