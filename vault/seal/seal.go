// Package seal turns a piece of plaintext into an object and back.
package seal

import (
	"errors"

	"github.com/holdfast-backup/holdfast/wire/id"
)

type Key [32]byte
type ContentKey [32]byte

const (
	MaxPlain = 8 << 20
	Overhead = 12 + 16 + 1
)

type Level int

const (
	LevelDefault Level = iota
	LevelFast
	LevelBetter
	LevelNone
)

var ErrDamaged = errors.New("damaged object")

type Sealer struct{}

func New(ck ContentKey) *Sealer                                          { return &Sealer{} }
func (k Key) ID() id.Object                                              { panic("soon") }
func (s *Sealer) Key(p []byte) Key                                       { panic("soon") }
func (s *Sealer) Append(dst []byte, k Key, p []byte, level Level) []byte { panic("soon") }
func (s *Sealer) Open(dst []byte, k Key, body []byte) ([]byte, error)    { panic("soon") }
