package order

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/wire/goldentest"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func applicationExample() *Order {
	o := example()
	o.Paths, o.Extensions, o.Conflict = nil, nil, Overwrite
	o.Application = &Application{ID: id.Application(fill(5, 16)), Part: Full, Database: "shop_copy", Bare: true}
	return o
}

func TestApplicationOrdersArrive(t *testing.T) {
	t.Parallel()
	p := cast()
	space := p.account.Space()
	rapid.Check(t, func(t *rapid.T) {
		o := orders().Draw(t, "order")
		o.Paths, o.Extensions, o.Conflict = nil, nil, Conflict(rapid.IntRange(0, 1).Draw(t, "rule"))
		a := &Application{ID: drawIDs[id.Application](t, "application"), Part: Part(rapid.IntRange(0, int(parts)-1).Draw(t, "part")),
			Bare: rapid.Bool().Draw(t, "bare")}
		if a.Part.Database() {
			a.Database = rapid.SampledFrom([]string{"", "shop", "lager ü", "/srv/x.db"}).Draw(t, "database")
		}
		if !a.Part.Media() {
			o.To = ""
		}
		o.Application = a
		b, err := o.Seal(space, p.device.Public())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Open(p.device, space, b, o.Device, o.Issued); err != nil || !reflect.DeepEqual(got, o) {
			t.Fatalf("got  %+v, %v\nwant %+v", got, err, o)
		}
	})
}

func TestApplicationOrdersThatAreRefused(t *testing.T) {
	t.Parallel()
	p := cast()
	for name, change := range map[string]func(*Order){
		"no application":        func(o *Order) { o.Application.ID = id.Application{} },
		"an unknown part":       func(o *Order) { o.Application.Part = parts },
		"paths":                 func(o *Order) { o.Paths = []string{"media/x"} },
		"extensions":            func(o *Order) { o.Extensions = []string{".jpg"} },
		"media kept beside":     func(o *Order) { o.Conflict = KeepBoth },
		"an endless database":   func(o *Order) { o.Application.Database = strings.Repeat("x", maxDatabase+1) },
		"a database of bytes":   func(o *Order) { o.Application.Database = "\xff" },
		"a database of lines":   func(o *Order) { o.Application.Database = "a\nb" },
		"a database for media":  func(o *Order) { o.Application.Part = MediaOnly },
		"a folder for database": func(o *Order) { o.Application.Part = DatabaseOnly },
	} {
		o := applicationExample()
		change(o)
		if _, err := o.Seal(p.account.Space(), p.device.Public()); err == nil {
			t.Errorf("%s: sealed", name)
		}
		if _, err := decode(o.encode()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	strict(t, applicationExample().encode(), func(b []byte) (encoder, error) { return decode(b) })
}

func TestParts(t *testing.T) {
	t.Parallel()
	for p, want := range map[Part]struct {
		name            string
		database, media bool
	}{Full: {"full", true, true}, DatabaseOnly: {"database", true, false}, MediaOnly: {"media", false, true}, parts: {"part 3", true, true}} {
		if p.String() != want.name || p.Database() != want.database || p.Media() != want.media {
			t.Errorf("%v: %v, %v", p, p.Database(), p.Media())
		}
	}
}

func TestGoldenApplicationV1(t *testing.T) {
	t.Parallel()
	type golden struct {
		Wrap, Bundle, Device, Body, Sealed goldentest.Hex
	}
	g := goldentest.Load(t, "application-order-v1.json", func() golden {
		p := cast()
		w := keyring.WrapKey(fill(0x33, 32))
		b, err := applicationExample().Seal(p.account.Space(), p.device.Public())
		if err != nil {
			panic(err)
		}
		return golden{w[:], p.account.SealBundle(w), p.device.Private(), applicationExample().encode(), b}
	})
	a, err := keyring.OpenBundle(keyring.WrapKey(g.Wrap), g.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	d, err := keyring.OpenDevice(g.Device)
	if err != nil {
		t.Fatal(err)
	}
	want := applicationExample()
	if o, err := Open(d, a.Space(), g.Sealed, want.Device, issued); err != nil || !reflect.DeepEqual(o, want) {
		t.Errorf("%+v, %v", o, err)
	}
	if got := want.encode(); string(got) != string(g.Body) {
		t.Errorf("%x, want %x", got, g.Body)
	}
}
