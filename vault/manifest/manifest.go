// Package manifest describes a snapshot to its owner.
package manifest

import (
	"time"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const MaxProblems = 10000

type Manifest struct {
	Root                     seal.Key
	Device                   id.Device
	DeviceName, Hostname, OS string
	Roots                    []string
	Started, Finished        time.Time
	Files, Bytes, Dirs       int64
	Parent                   id.Snapshot
	Problems                 []Problem
	ProblemCount             int64
	AgentVersion             string
}

type Problem struct{ Path, Cause, Text string }

func (m *Manifest) Seal(sp *keyring.Space, identityPublic []byte) ([]byte, error) { panic("soon") }
func Open(a *keyring.Account, sealed []byte) (*Manifest, error)                   { panic("soon") }
