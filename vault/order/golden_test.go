package order

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/wire/goldentest"
)

type golden struct {
	Wrap   goldentest.Hex
	Bundle goldentest.Hex // the account, under Wrap
	Device goldentest.Hex // its private key

	Order, Report, Note goldenMessage
}

type goldenMessage struct {
	Body   goldentest.Hex
	Signed goldentest.Hex
	Sealed goldentest.Hex
}

// messages are the examples, as golden has them but for what is sealed.
func messages(space *keyring.Space) [3]goldenMessage {
	var m [3]goldenMessage
	for i, v := range []struct {
		info string
		body []byte
	}{{InfoOrder, example().encode()}, {InfoReport, exampleReport().encode()}, {InfoNote, exampleNote().encode()}} {
		m[i] = goldenMessage{Body: v.body, Signed: signed(space, v.info, v.body)}
	}
	return m
}

func generate() golden {
	p := cast()
	space, identity := p.account.Space(), p.account.IdentityPublic()
	w := keyring.WrapKey(fill(0x33, 32))
	m := messages(space)
	var errs [3]error
	m[0].Sealed, errs[0] = sealed(space, p.device.Public(), InfoOrder, m[0].Body, MaxSealed)
	m[1].Sealed, errs[1] = sealed(space, identity, InfoReport, m[1].Body, MaxSealedReport)
	m[2].Sealed, errs[2] = sealed(space, identity, InfoNote, m[2].Body, MaxSealedNote)
	if err := errors.Join(errs[:]...); err != nil {
		panic(err)
	}
	return golden{w[:], p.account.SealBundle(w), p.device.Private(), m[0], m[1], m[2]}
}

func TestGoldenV1(t *testing.T) {
	t.Parallel()
	g := goldentest.Load(t, "orders-v1.json", generate)
	a, err := keyring.OpenBundle(keyring.WrapKey(g.Wrap), g.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	d, err := keyring.OpenDevice(g.Device)
	if err != nil {
		t.Fatal(err)
	}
	o, err := Open(d, a.Space(), g.Order.Sealed, example().Device, issued)
	if err != nil || !reflect.DeepEqual(o, example()) {
		t.Errorf("order %+v, %v", o, err)
	}
	r, err := OpenReport(a, g.Report.Sealed)
	if err != nil || !reflect.DeepEqual(r, exampleReport()) {
		t.Errorf("report %+v, %v", r, err)
	}
	n, err := OpenNote(a, g.Note.Sealed)
	if err != nil || !reflect.DeepEqual(n, exampleNote()) {
		t.Errorf("note %+v, %v", n, err)
	}
	for i, want := range []goldenMessage{g.Order, g.Report, g.Note} {
		got := messages(a.Space())[i]
		if !bytes.Equal(got.Body, want.Body) || !bytes.Equal(got.Signed, want.Signed) {
			t.Errorf("message %d: body %x and signed %x, want %x and %x", i, got.Body, got.Signed, want.Body, want.Signed)
		}
	}
}

// fuzz feeds a decoder what a member of the account could have signed.
func fuzz(f *testing.F, info string, seed []byte, decode func([]byte) (encoder, error)) {
	space := cast().account.Space()
	f.Add(seed)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		body, err := verify(space, info, signed(space, info, body))
		if err != nil {
			t.Fatal(err)
		}
		v, err := decode(body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if got := v.encode(); !bytes.Equal(got, body) {
			t.Fatalf("%x and %x are the same message", body, got)
		}
	})
}

func FuzzOrder(f *testing.F) {
	fuzz(f, InfoOrder, example().encode(), func(b []byte) (encoder, error) { return decode(b) })
}

func FuzzReport(f *testing.F) {
	fuzz(f, InfoReport, exampleReport().encode(), func(b []byte) (encoder, error) { return decodeReport(b) })
}

func FuzzNote(f *testing.F) {
	fuzz(f, InfoNote, exampleNote().encode(), func(b []byte) (encoder, error) { return decodeNote(b) })
}

// Whatever a server sends is refused, and never ends the program.
func FuzzSealed(f *testing.F) {
	p := cast()
	space := p.account.Space()
	b, err := example().Seal(space, p.device.Public())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:len(b)-1])
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, err := range map[string]error{
			"order":  second(Open(p.device, space, b, example().Device, issued)),
			"report": second(OpenReport(p.account, b)),
			"note":   second(OpenNote(p.account, b)),
		} {
			if !errors.Is(err, keyring.ErrWrongKey) && !errors.Is(err, keyring.ErrMalformed) && !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s: %v", name, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }
