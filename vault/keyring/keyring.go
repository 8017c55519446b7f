// Package keyring holds every key that is not an object's.
package keyring

import (
	"errors"

	"github.com/holdfast-backup/holdfast/vault/seal"
)

var ErrWrongKey = errors.New("wrong key")

type KDF struct {
	Salt            []byte
	Time, MemoryKiB uint32
	Threads         uint8
}

func NewKDF() KDF             { panic("soon") }
func (k KDF) Validate() error { panic("soon") }

type WrapKey [32]byte

func FromPassword(password []byte, k KDF) (authKey [32]byte, wrap WrapKey, err error) { panic("soon") }

type RecoveryCode [20]byte

func NewRecoveryCode() RecoveryCode                           { panic("soon") }
func ParseRecoveryCode(s string) (RecoveryCode, error)        { panic("soon") }
func (c RecoveryCode) String() string                         { panic("soon") }
func (c RecoveryCode) Keys() (authKey [32]byte, wrap WrapKey) { panic("soon") }

type Account struct{}

func NewAccount() (*Account, error)                                      { panic("soon") }
func (a *Account) IdentityPublic() []byte                                { panic("soon") }
func (a *Account) SpaceKey() [32]byte                                    { panic("soon") }
func (a *Account) Space() *Space                                         { panic("soon") }
func (a *Account) SealBundle(w WrapKey) []byte                           { panic("soon") }
func OpenBundle(w WrapKey, sealed []byte) (*Account, error)              { panic("soon") }
func (a *Account) OpenSealed(info string, sealed []byte) ([]byte, error) { panic("soon") }
func SealTo(public []byte, info string, plain []byte) ([]byte, error)    { panic("soon") }

type Space struct {
	Content seal.ContentKey
	Chunker [32]byte
}

func NewSpace(spaceKey [32]byte) *Space               { panic("soon") }
func (s *Space) DeviceMAC(public []byte) []byte       { panic("soon") }
func (s *Space) VerifyDevice(public, mac []byte) bool { panic("soon") }
func (s *Space) ManifestMAC(msg []byte) [32]byte      { panic("soon") }

type Device struct{}

func NewDevice() (*Device, error)                                       { panic("soon") }
func OpenDevice(private []byte) (*Device, error)                        { panic("soon") }
func (d *Device) Public() []byte                                        { panic("soon") }
func (d *Device) Private() []byte                                       { panic("soon") }
func (d *Device) OpenSealed(info string, sealed []byte) ([]byte, error) { panic("soon") }

type EnrolCode [16]byte

func NewEnrolCode() EnrolCode                         { panic("soon") }
func ParseEnrolCode(s string) (EnrolCode, error)      { panic("soon") }
func (c EnrolCode) String() string                    { panic("soon") }
func (c EnrolCode) Token() string                     { panic("soon") }
func (c EnrolCode) Seal(o Offer) []byte               { panic("soon") }
func (c EnrolCode) Open(sealed []byte) (Offer, error) { panic("soon") }

type Offer struct {
	SpaceKey       [32]byte
	IdentityPublic []byte
	Fingerprint    string
}
