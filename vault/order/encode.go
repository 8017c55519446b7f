package order

import (
	"fmt"
	"time"

	"github.com/holdfast-backup/holdfast/wire/cbor"
)

// A body is a deterministic CBOR map with the keys 1 to orderFields, reportFields or noteFields, all of them, in order;
// an order for an application has one more.
const (
	orderFields  = 10
	reportFields = 13
	noteFields   = 4
)

// encode returns the body.
func (o *Order) encode() []byte {
	fields := orderFields
	if o.Application != nil {
		fields++ // an agent that knows of no applications refuses it
	}
	w := newWriter(fields)
	w.bytes(o.ID[:])
	w.bytes(o.Device[:])
	w.bytes(o.Snapshot[:])
	w.bytes(o.Root[:])
	w.array(len(o.Paths))
	for _, p := range o.Paths {
		w.b = cbor.AppendBytes(w.b, []byte(p))
	}
	w.array(len(o.Extensions))
	for _, e := range o.Extensions {
		w.b = cbor.AppendText(w.b, e)
	}
	w.text(o.To)
	w.int(int64(o.Conflict))
	w.time(o.Issued)
	w.time(o.Expires)
	if o.Application != nil {
		o.Application.encode(w)
	}
	return w.b
}

// decode reads a body. It accepts what encode writes of a valid order, and nothing else.
func decode(body []byte) (*Order, error) {
	o := new(Order)
	r := &reader{Reader: cbor.NewReader(body)}
	fields := r.Map()
	if fields != orderFields && fields != orderFields+1 {
		r.Fail("%d fields where %d or %d are due", fields, orderFields, orderFields+1)
	}
	r.fixed(o.ID[:])
	r.fixed(o.Device[:])
	r.fixed(o.Snapshot[:])
	r.fixed(o.Root[:])
	if n := r.array(MaxPaths); n > 0 {
		o.Paths = make([]string, n)
		for i := range o.Paths {
			o.Paths[i] = string(r.Bytes())
		}
	}
	if n := r.array(MaxExtensions); n > 0 {
		o.Extensions = make([]string, n)
		for i := range o.Extensions {
			o.Extensions[i] = r.Text()
		}
	}
	o.To = r.text(maxTo)
	rule := r.int()
	if rule < 0 || rule >= int64(conflicts) {
		r.Fail("conflict rule %d", rule)
	}
	o.Conflict = Conflict(rule)
	o.Issued = r.time()
	o.Expires = r.time()
	if fields > orderFields {
		o.Application = decodeApplication(r)
	}
	if err := r.finish(o.validate); err != nil {
		return nil, err
	}
	return o, nil
}

func (r *Report) encode() []byte {
	w := newWriter(reportFields)
	w.bytes(r.Order[:])
	w.bytes(r.Snapshot[:])
	w.bytes(r.Device[:])
	w.time(r.Started)
	w.time(r.Finished)
	for _, n := range []int64{r.Files, r.Dirs, r.Others, r.Bytes, r.Skipped} {
		w.int(n)
	}
	w.text(r.Error)
	w.array(len(r.Failures))
	for _, f := range r.Failures {
		w.b = cbor.AppendArray(w.b, 2)
		w.b = cbor.AppendBytes(w.b, []byte(f.Path))
		w.b = cbor.AppendText(w.b, f.Text)
	}
	w.int(r.FailureCount)
	return w.b
}

func decodeReport(body []byte) (*Report, error) {
	v := new(Report)
	r := newReader(body, reportFields)
	r.fixed(v.Order[:])
	r.fixed(v.Snapshot[:])
	r.fixed(v.Device[:])
	v.Started = r.time()
	v.Finished = r.time()
	for _, n := range []*int64{&v.Files, &v.Dirs, &v.Others, &v.Bytes, &v.Skipped} {
		*n = r.int()
	}
	v.Error = r.text(maxText)
	if n := r.array(MaxFailures); n > 0 {
		v.Failures = make([]Failure, n)
		for i := range v.Failures {
			if k := r.Array(); k != 2 {
				r.Fail("a failure of %d parts", k)
			}
			v.Failures[i] = Failure{Path: string(r.Bytes()), Text: r.bounded(maxText)}
		}
	}
	v.FailureCount = r.int()
	if err := r.finish(v.validate); err != nil {
		return nil, err
	}
	return v, nil
}

func (n *Note) encode() []byte {
	w := newWriter(noteFields)
	w.bytes(n.Run[:])
	w.bytes(n.Device[:])
	w.time(n.At)
	w.text(n.Text)
	return w.b
}

func decodeNote(body []byte) (*Note, error) {
	n := new(Note)
	r := newReader(body, noteFields)
	r.fixed(n.Run[:])
	r.fixed(n.Device[:])
	n.At = r.time()
	n.Text = r.text(MaxNote)
	if err := r.finish(n.validate); err != nil {
		return nil, err
	}
	return n, nil
}

// writer writes the map's values, each behind its key.
type writer struct {
	b   []byte
	key uint64
}

func newWriter(fields int) *writer { return &writer{b: cbor.AppendMap(nil, fields)} }

func (w *writer) next() []byte {
	w.key++
	return cbor.AppendUint(w.b, w.key)
}

func (w *writer) bytes(v []byte)   { w.b = cbor.AppendBytes(w.next(), v) }
func (w *writer) text(v string)    { w.b = cbor.AppendText(w.next(), v) }
func (w *writer) int(v int64)      { w.b = cbor.AppendInt(w.next(), v) }
func (w *writer) time(v time.Time) { w.int(v.UnixNano()) }
func (w *writer) array(n int)      { w.b = cbor.AppendArray(w.next(), n) }

// reader reads what a writer wrote: the methods in lower case read a key first.
type reader struct {
	*cbor.Reader
	key uint64
}

func newReader(body []byte, fields int) *reader {
	r := &reader{Reader: cbor.NewReader(body)}
	if n := r.Map(); n != fields {
		r.Fail("%d fields where %d are due", n, fields)
	}
	return r
}

func (r *reader) next() {
	r.key++
	if k := r.Uint(); k != r.key {
		r.Fail("field %d where %d is due", k, r.key)
	}
}

func (r *reader) fixed(dst []byte) {
	r.next()
	r.Fixed(dst)
}

func (r *reader) int() int64 {
	r.next()
	return r.Int()
}

func (r *reader) time() time.Time { return time.Unix(0, r.int()).UTC() }

func (r *reader) text(limit int) string {
	r.next()
	return r.bounded(limit)
}

func (r *reader) bounded(limit int) string {
	s := r.Text()
	if len(s) > limit {
		r.Fail("a text of %d bytes", len(s))
	}
	return s
}

// array bounds the number before anybody takes memory for it.
func (r *reader) array(limit int) int {
	r.next()
	n := r.Array()
	if n > limit {
		r.Fail("an array of %d", n)
	}
	if r.Err() != nil {
		return 0
	}
	return n
}

// finish reports what is wrong with the encoding, or else with the value.
func (r *reader) finish(validate func() error) error {
	err := r.Finish()
	if err == nil {
		err = validate()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}
