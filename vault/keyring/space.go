package keyring

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/holdfast-backup/holdfast/vault/seal"
)

// Space is the keys of an account's backups, which the person and all devices of the account have. It is
// never changed, so it is safe for concurrent use.
type Space struct {
	Content seal.ContentKey // makes the objects' keys
	Chunker [32]byte        // decides where files and trees are cut

	manifest, device, order [32]byte
}

// NewSpace derives the keys of a space.
func NewSpace(spaceKey [32]byte) *Space {
	return &Space{
		Content:  derive(spaceKey[:], labelContent),
		Chunker:  derive(spaceKey[:], labelChunker),
		manifest: derive(spaceKey[:], labelManifest),
		device:   derive(spaceKey[:], labelDeviceMAC),
		order:    derive(spaceKey[:], labelOrderMAC),
	}
}

// String does not show the keys.
func (*Space) String() string { return "space" }

// DeviceMAC returns the proof, of 32 bytes, that a device with this public key was enrolled by somebody who has the
// space key. The server keeps it, and cannot make one for a key of its own.
func (s *Space) DeviceMAC(public []byte) []byte {
	sum := mac(s.device, public)
	return sum[:]
}

// VerifyDevice reports whether mac is the device's.
func (s *Space) VerifyDevice(public, mac []byte) bool {
	return hmac.Equal(s.DeviceMAC(public), mac)
}

// ManifestMAC returns the proof that a manifest was made by somebody who has the space key.
func (s *Space) ManifestMAC(msg []byte) [32]byte { return mac(s.manifest, msg) }

// VerifyManifest reports whether mac is the manifest's.
func (s *Space) VerifyManifest(msg, mac []byte) bool {
	want := s.ManifestMAC(msg)
	return hmac.Equal(want[:], mac)
}

// OrderMAC returns the proof that what a person and a device of the account tell one another was made by somebody
// who has the space key. What is meant for different readers must differ in its first bytes: see vault/order.
func (s *Space) OrderMAC(msg []byte) [32]byte { return mac(s.order, msg) }

// VerifyOrder reports whether mac is the message's.
func (s *Space) VerifyOrder(msg, mac []byte) bool {
	want := s.OrderMAC(msg)
	return hmac.Equal(want[:], mac)
}

// mac is HMAC-SHA256.
func mac(key [32]byte, msg []byte) [32]byte {
	h := hmac.New(sha256.New, key[:])
	h.Write(msg)
	return [32]byte(h.Sum(nil))
}
