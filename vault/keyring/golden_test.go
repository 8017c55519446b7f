package keyring

import (
	"bytes"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/goldentest"
)

type golden struct {
	Passwords []goldenPassword
	Recovery  []goldenCode
	Enrolment []goldenEnrolment
	Account   goldenAccount
}

type goldenPassword struct {
	Password      string
	Salt          goldentest.Hex
	Time          uint32
	MemoryKiB     uint32
	Threads       uint8
	AuthKey, Wrap goldentest.Hex
}

type goldenCode struct {
	Code          goldentest.Hex
	Text          string
	AuthKey, Wrap goldentest.Hex
}

type goldenEnrolment struct {
	Code        goldentest.Hex
	Text, Token string
	Nonce       goldentest.Hex
	Offer       goldentest.Hex
	Fingerprint string // what the offer holds, beside the account's keys
}

type goldenAccount struct {
	Identity, IdentityPublic, SpaceKey goldentest.Hex

	Content, Chunker, Manifest, DeviceMAC goldentest.Hex // the keys
	MACOfIdentityPublic, MACOfHello       goldentest.Hex // under the keys for devices and manifests

	Wrap, Nonce, Bundle goldentest.Hex
	Info                string
	Sealed              goldentest.Hex // "hello", to the identity
}

func fill(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func goldenKeys() *Account {
	k, err := openKeyPair(fill(0x11, privateSize))
	if err != nil {
		panic(err)
	}
	return &Account{identity: k, spaceKey: [32]byte(fill(0x22, 32))}
}

func generate() golden {
	var g golden
	for _, k := range []KDF{
		{fill(0x01, 16), 3, 64 << 10, 4},
		{[]byte("another salt, of 29 bytes ..."), 2, 19 << 10, 1},
	} {
		const password = "correct horse battery staple"
		auth, wrap, err := FromPassword([]byte(password), k)
		if err != nil {
			panic(err)
		}
		g.Passwords = append(g.Passwords, goldenPassword{password, k.Salt, k.Time, k.MemoryKiB, k.Threads, auth[:], wrap[:]})
	}
	for _, c := range []RecoveryCode{{}, RecoveryCode(fill(0xff, 20)), RecoveryCode([]byte("holdfast holdfast ho"))} {
		auth, wrap := c.Keys()
		g.Recovery = append(g.Recovery, goldenCode{c[:], c.String(), auth[:], wrap[:]})
	}
	a := goldenKeys()
	for i, c := range []EnrolCode{{}, EnrolCode(fill(0xff, 16)), EnrolCode([]byte("holdfast holdfas"))} {
		o := Offer{SpaceKey: a.spaceKey, IdentityPublic: a.IdentityPublic()}
		if i > 0 {
			o.Fingerprint = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
		}
		nonce := fill(byte(i), nonceSize)
		sealed := sealBoxWith([nonceSize]byte(nonce), derive(c[:], labelEnrolSeal), labelOffer, o.encode())
		g.Enrolment = append(g.Enrolment, goldenEnrolment{c[:], c.String(), c.Token(), nonce, sealed, o.Fingerprint})
	}
	g.Account = a.golden()
	sealed, err := SealTo(a.IdentityPublic(), "holdfast/v1/example", []byte("hello"))
	if err != nil {
		panic(err)
	}
	g.Account.Info, g.Account.Sealed = "holdfast/v1/example", sealed
	return g
}

// golden returns what is not random.
func (a *Account) golden() goldenAccount {
	s := a.Space()
	hello, w, nonce := s.ManifestMAC([]byte("hello")), fill(0x33, 32), fill(0x44, nonceSize)
	return goldenAccount{
		Identity: a.identity.bytes(), IdentityPublic: a.IdentityPublic(), SpaceKey: a.spaceKey[:],
		Content: s.Content[:], Chunker: s.Chunker[:], Manifest: s.manifest[:], DeviceMAC: s.device[:],
		MACOfIdentityPublic: s.DeviceMAC(a.IdentityPublic()), MACOfHello: hello[:],
		Wrap: w, Nonce: nonce, Bundle: sealBoxWith([nonceSize]byte(nonce), [32]byte(w), labelBundle, a.bundle()),
	}
}

func TestGoldenV1(t *testing.T) {
	t.Parallel()
	g := goldentest.Load(t, "keys-v1.json", generate)
	equal := func(what string, got, want []byte) {
		t.Helper()
		if !bytes.Equal(got, want) {
			t.Errorf("%s is %x, want %x", what, got, want)
		}
	}
	if len(g.Passwords) < 2 || len(g.Recovery) < 3 || len(g.Enrolment) < 3 {
		t.Fatal("vectors are missing")
	}
	for _, p := range g.Passwords {
		auth, wrap, err := FromPassword([]byte(p.Password), KDF{p.Salt, p.Time, p.MemoryKiB, p.Threads})
		if err != nil {
			t.Fatal(err)
		}
		equal("authentication key", auth[:], p.AuthKey)
		equal("wrap key", wrap[:], p.Wrap)
	}
	for _, v := range g.Recovery {
		c, err := ParseRecoveryCode(v.Text)
		if err != nil {
			t.Fatal(err)
		}
		auth, wrap := c.Keys()
		equal("recovery code", c[:], v.Code)
		equal("authentication key of "+v.Text, auth[:], v.AuthKey)
		equal("wrap key of "+v.Text, wrap[:], v.Wrap)
		if c.String() != v.Text {
			t.Errorf("text %s, want %s", c, v.Text)
		}
	}
	goldenAccountTest(t, g.Account, equal)
	for _, v := range g.Enrolment {
		c, err := ParseEnrolCode(v.Text)
		if err != nil {
			t.Fatal(err)
		}
		equal("enrolment code", c[:], v.Code)
		if c.String() != v.Text || c.Token() != v.Token {
			t.Errorf("code %s and token %s, want %s and %s", c, c.Token(), v.Text, v.Token)
		}
		o, err := c.Open(v.Offer)
		if err != nil {
			t.Fatal(err)
		}
		equal("space key of the offer", o.SpaceKey[:], g.Account.SpaceKey)
		equal("identity of the offer", o.IdentityPublic, g.Account.IdentityPublic)
		if o.Fingerprint != v.Fingerprint {
			t.Errorf("fingerprint %q, want %q", o.Fingerprint, v.Fingerprint)
		}
		equal("offer", sealBoxWith([nonceSize]byte(v.Nonce), derive(c[:], labelEnrolSeal), labelOffer, o.encode()), v.Offer)
	}
}

func goldenAccountTest(t *testing.T, v goldenAccount, equal func(string, []byte, []byte)) {
	a, err := OpenBundle(WrapKey(v.Wrap), v.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	got := a.golden()
	equal("identity", got.Identity, v.Identity)
	equal("public key", got.IdentityPublic, v.IdentityPublic)
	equal("space key", got.SpaceKey, v.SpaceKey)
	equal("content key", got.Content, v.Content)
	equal("chunker key", got.Chunker, v.Chunker)
	equal("manifest key", got.Manifest, v.Manifest)
	equal("device MAC key", got.DeviceMAC, v.DeviceMAC)
	equal("MAC of a device", got.MACOfIdentityPublic, v.MACOfIdentityPublic)
	equal("MAC of a manifest", got.MACOfHello, v.MACOfHello)
	equal("bundle", got.Bundle, v.Bundle)
	if plain, err := a.OpenSealed(v.Info, v.Sealed); err != nil || string(plain) != "hello" {
		t.Errorf("sealed message: %q, %v", plain, err)
	}
	// A device's keys are of the same kind.
	d, err := OpenDevice(v.Identity)
	if err != nil {
		t.Fatal(err)
	}
	equal("a device's public key", d.Public(), v.IdentityPublic)
	equal("a device's private key", d.Private(), v.Identity)
}
