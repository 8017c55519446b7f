package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/cbor"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func newAccount(t *testing.T) *Account {
	t.Helper()
	a, err := NewAccount()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sealedKinds is everything that opens, with a closed example, the wrong keys and its versions' place.
type sealedKind struct {
	sealed    []byte
	open      func([]byte) error
	wrongKeys []func([]byte) error
}

func sealedKinds(t *testing.T) map[string]sealedKind {
	a, b := newAccount(t), newAccount(t)
	w := WrapKey{1}
	bundle := func(w WrapKey) func([]byte) error {
		return func(s []byte) error { _, err := OpenBundle(w, s); return err }
	}
	c, d := NewEnrolCode(), NewEnrolCode()
	offer := func(c EnrolCode) func([]byte) error {
		return func(s []byte) error { _, err := c.Open(s); return err }
	}
	message := func(open func(string, []byte) ([]byte, error), info string) func([]byte) error {
		return func(s []byte) error { _, err := open(info, s); return err }
	}
	dev, err := NewDevice()
	if err != nil {
		t.Fatal(err)
	}
	toA, err := SealTo(a.IdentityPublic(), "info", []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	toDevice, err := SealTo(dev.Public(), "info", []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]sealedKind{
		"bundle":   {a.SealBundle(w), bundle(w), []func([]byte) error{bundle(WrapKey{2}), bundle(WrapKey{})}},
		"offer":    {c.Seal(Offer{IdentityPublic: a.IdentityPublic()}), offer(c), []func([]byte) error{offer(d), offer(EnrolCode{})}},
		"identity": {toA, message(a.OpenSealed, "info"), []func([]byte) error{message(b.OpenSealed, "info"), message(a.OpenSealed, ""), message(dev.OpenSealed, "info")}},
		"device":   {toDevice, message(dev.OpenSealed, "info"), []func([]byte) error{message(a.OpenSealed, "info"), message(dev.OpenSealed, "other")}},
	}
}

func TestWhatIsSealedOpensForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	for name, k := range sealedKinds(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := k.open(k.sealed); err != nil {
				t.Fatal(err)
			}
			for i, open := range k.wrongKeys {
				if err := open(k.sealed); !errors.Is(err, ErrWrongKey) {
					t.Errorf("wrong key %d: %v", i, err)
				}
			}
			for i := range k.sealed {
				bad := bytes.Clone(k.sealed)
				bad[i] ^= 0x40
				want := ErrWrongKey
				if i == 0 {
					want = ErrMalformed
				}
				if err := k.open(bad); !errors.Is(err, want) {
					t.Fatalf("byte %d flipped: %v", i, err)
				}
			}
			for n := range k.sealed {
				if err := k.open(k.sealed[:n]); !errors.Is(err, ErrWrongKey) && !errors.Is(err, ErrMalformed) {
					t.Fatalf("cut to %d bytes: %v", n, err)
				}
			}
			if err := k.open(append(bytes.Clone(k.sealed), 0)); !errors.Is(err, ErrWrongKey) {
				t.Errorf("a byte more: %v", err)
			}
			if err := k.open(nil); !errors.Is(err, ErrMalformed) {
				t.Errorf("nothing: %v", err)
			}
		})
	}
}

func TestBundleKeepsTheAccount(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	x, y := a.SealBundle(WrapKey{1}), a.SealBundle(WrapKey{1})
	if bytes.Equal(x, y) {
		t.Error("two bundles have the same nonce")
	}
	b, err := OpenBundle(WrapKey{1}, x)
	if err != nil {
		t.Fatal(err)
	}
	if b.SpaceKey() != a.SpaceKey() || !bytes.Equal(b.IdentityPublic(), a.IdentityPublic()) {
		t.Error("the bundle opens as another account")
	}
	sealed, err := SealTo(a.IdentityPublic(), "i", []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := b.OpenSealed("i", sealed); err != nil || string(p) != "p" {
		t.Errorf("the opened identity reads %q, %v", p, err)
	}
	for _, plain := range [][]byte{nil, make([]byte, bundleSize-1), make([]byte, bundleSize+1)} {
		if _, err := OpenBundle(WrapKey{1}, sealBox(WrapKey{1}, labelBundle, plain)); !errors.Is(err, ErrMalformed) {
			t.Errorf("a bundle of %d bytes: %v", len(plain), err)
		}
	}
	// What was sealed for one purpose is nothing for another.
	if _, err := OpenBundle(WrapKey{1}, sealBox(WrapKey{1}, labelOffer, a.bundle())); !errors.Is(err, ErrWrongKey) {
		t.Errorf("an offer as a bundle: %v", err)
	}
}

func TestAccountsAndCodesAreRandom(t *testing.T) {
	t.Parallel()
	a, b := newAccount(t), newAccount(t)
	if a.SpaceKey() == b.SpaceKey() || bytes.Equal(a.IdentityPublic(), b.IdentityPublic()) {
		t.Error("two accounts have the same keys")
	}
	r1, r2 := NewRecoveryCode(), NewRecoveryCode()
	e1, e2 := NewEnrolCode(), NewEnrolCode()
	k1, k2 := NewKDF(), NewKDF()
	if r1 == r2 || e1 == e2 || bytes.Equal(k1.Salt, k2.Salt) {
		t.Error("a random value came twice")
	}
	x, err := SealTo(a.IdentityPublic(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	y, err := SealTo(a.IdentityPublic(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(x, y) || len(x) != SealedOverhead {
		t.Errorf("sealing nothing twice: %d bytes, %x", len(x), x)
	}
}

func TestSealToNobody(t *testing.T) {
	t.Parallel()
	for _, public := range [][]byte{nil, make([]byte, 32), make([]byte, PublicSize-1), make([]byte, PublicSize+1), fill(0xff, PublicSize)} {
		if _, err := SealTo(public, "info", []byte("p")); err == nil {
			t.Errorf("sealed to a key of %d bytes", len(public))
		}
	}
}

func TestDevice(t *testing.T) {
	t.Parallel()
	d, err := NewDevice()
	if err != nil {
		t.Fatal(err)
	}
	e, err := OpenDevice(d.Private())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(d.Public(), e.Public()) || len(d.Public()) != PublicSize || len(d.Private()) != privateSize {
		t.Error("a device opens as another")
	}
	for _, private := range [][]byte{nil, make([]byte, 31), make([]byte, 33)} {
		if _, err := OpenDevice(private); err == nil {
			t.Errorf("opened a private key of %d bytes", len(private))
		}
	}
}

func TestSpace(t *testing.T) {
	t.Parallel()
	s, other := NewSpace([32]byte{1}), NewSpace([32]byte{2})
	keys := map[[32]byte]bool{{1}: true}
	for _, sp := range []*Space{s, other} {
		for _, k := range [][32]byte{sp.Content, sp.Chunker, sp.manifest, sp.device} {
			if keys[k] {
				t.Error("two purposes have the same key")
			}
			keys[k] = true
		}
	}
	public := []byte("a public key")
	mac := s.DeviceMAC(public)
	if !s.VerifyDevice(public, mac) {
		t.Error("a device's MAC was refused")
	}
	for i := range mac {
		bad := bytes.Clone(mac)
		bad[i] ^= 1
		if s.VerifyDevice(public, bad) {
			t.Errorf("a MAC with byte %d flipped was accepted", i)
		}
	}
	m := s.ManifestMAC(public)
	if s.VerifyDevice([]byte("another"), mac) || other.VerifyDevice(public, mac) || s.VerifyDevice(public, nil) ||
		s.VerifyDevice(public, mac[:31]) || s.VerifyDevice(public, m[:]) {
		t.Error("a wrong MAC of a device was accepted")
	}
	if !s.VerifyManifest(public, m[:]) || s.VerifyManifest(public, mac) || other.VerifyManifest(public, m[:]) {
		t.Error("MACs of manifests are mixed up")
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	k := KDF{Salt: fill(1, 16), Time: 1, MemoryKiB: minMemory, Threads: 1}
	auth, wrap, err := FromPassword([]byte("one"), k)
	if err != nil {
		t.Fatal(err)
	}
	if [32]byte(wrap) == auth || auth == [32]byte{} {
		t.Error("the server would learn the wrap key")
	}
	other := k
	other.Salt = fill(2, 16)
	for _, c := range []struct {
		password string
		k        KDF
	}{{"two", k}, {"one", other}} {
		auth2, wrap2, err := FromPassword([]byte(c.password), c.k)
		if err != nil || auth2 == auth || wrap2 == wrap {
			t.Errorf("%s: the same keys, or %v", c.password, err)
		}
	}
	if _, _, err := FromPassword(nil, k); !errors.Is(err, fault.Invalid) {
		t.Errorf("an empty password: %v", err)
	}
	if _, _, err := FromPassword([]byte("x"), KDF{}); !errors.Is(err, fault.Invalid) {
		t.Errorf("no parameters: %v", err)
	}
}

func TestKDFValidate(t *testing.T) {
	t.Parallel()
	if err := NewKDF().Validate(); err != nil {
		t.Error(err)
	}
	good := KDF{Salt: fill(1, 16), Time: 3, MemoryKiB: 64 << 10, Threads: 4}
	for name, change := range map[string]func(*KDF){
		"no salt":          func(k *KDF) { k.Salt = nil },
		"short salt":       func(k *KDF) { k.Salt = fill(0, 15) },
		"long salt":        func(k *KDF) { k.Salt = fill(0, 65) },
		"no passes":        func(k *KDF) { k.Time = 0 },
		"little memory":    func(k *KDF) { k.MemoryKiB = minMemory - 1 },
		"no threads":       func(k *KDF) { k.Threads = 0 },
		"many passes":      func(k *KDF) { k.Time = 65 },
		"all passes":       func(k *KDF) { k.Time = 1<<32 - 1 },
		"much memory":      func(k *KDF) { k.MemoryKiB = 1<<20 + 1 },
		"all memory":       func(k *KDF) { k.MemoryKiB = 1<<32 - 1 },
		"many threads":     func(k *KDF) { k.Threads = 65 },
		"too much in all":  func(k *KDF) { k.Time, k.MemoryKiB = 5, 1<<20 },
		"a product of 2³²": func(k *KDF) { k.Time, k.MemoryKiB = 1<<16, 1<<16 },
	} {
		k := good
		change(&k)
		if err := k.Validate(); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOffers(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	c := NewEnrolCode()
	print := strings.Repeat("0a", 32)
	for _, fingerprint := range []string{"", print} {
		o := Offer{SpaceKey: a.SpaceKey(), IdentityPublic: a.IdentityPublic(), Fingerprint: fingerprint}
		got, err := c.Open(c.Seal(o))
		if err != nil || got.SpaceKey != o.SpaceKey || !bytes.Equal(got.IdentityPublic, o.IdentityPublic) || got.Fingerprint != o.Fingerprint {
			t.Errorf("got %v, %v", got, err)
		}
	}
	sound := Offer{IdentityPublic: a.IdentityPublic()}
	for name, change := range map[string]func(*Offer){
		"no identity":            func(o *Offer) { o.IdentityPublic = nil },
		"short identity":         func(o *Offer) { o.IdentityPublic = o.IdentityPublic[1:] },
		"no key":                 func(o *Offer) { o.IdentityPublic = fill(0xff, PublicSize) },
		"short fingerprint":      func(o *Offer) { o.Fingerprint = print[2:] },
		"long fingerprint":       func(o *Offer) { o.Fingerprint = print + "00" },
		"upper-case fingerprint": func(o *Offer) { o.Fingerprint = strings.ToUpper(print) },
		"no hexadecimal digits":  func(o *Offer) { o.Fingerprint = strings.Repeat("zz", 32) },
		"no UTF-8":               func(o *Offer) { o.Fingerprint = strings.Repeat("\xff", 64) },
	} {
		o := sound
		change(&o)
		if _, err := c.Open(c.Seal(o)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := sound.encode()
	for name, plain := range map[string][]byte{
		"nothing":         nil,
		"ends early":      good[:len(good)-1],
		"more":            append(bytes.Clone(good), 0),
		"two items":       cbor.AppendBytes(cbor.AppendBytes(cbor.AppendArray(nil, 2), make([]byte, 32)), a.IdentityPublic()),
		"a map":           cbor.AppendMap(nil, 0),
		"short space key": cbor.AppendText(cbor.AppendBytes(cbor.AppendBytes(cbor.AppendArray(nil, 3), make([]byte, 31)), a.IdentityPublic()), ""),
	} {
		if _, err := c.Open(sealBox(derive(c[:], labelEnrolSeal), labelOffer, plain)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	k, err := openKeyPair(fill(0xab, 32))
	if err != nil {
		t.Fatal(err)
	}
	a := &Account{identity: k, spaceKey: [32]byte(fill(0xab, 32))}
	sp := &Space{Content: seal.ContentKey(a.spaceKey), Chunker: a.spaceKey, manifest: a.spaceKey, device: a.spaceKey}
	for _, v := range []any{a, sp, &Device{k}, WrapKey(a.spaceKey), Offer{SpaceKey: a.spaceKey}} {
		for _, verb := range []string{"%v", "%+v", "%s"} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, "abab") || strings.Contains(s, "171") {
				t.Errorf("%s of %T prints %s", verb, v, s)
			}
		}
	}
}
