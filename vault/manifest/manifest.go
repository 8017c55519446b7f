// Package manifest describes a snapshot to its owner, and to nobody else: what was saved, when, from where,
// what could not be read, and the root's key, from which all the rest can be read.
//
// The device that made the snapshot seals the manifest to its owner's identity, and cannot open it again. Inside is a
// MAC under a key of the space, which the owner checks: the server keeps the manifest, knows the public
// key, and still cannot make one up.
//
// What the MAC does not say is which snapshot the manifest belongs to: the server gives out that name
// afterwards. So whoever opens one compares its Device, and the id of its Root, with the snapshot's record. And a
// server can hide a snapshot, or show a deleted one: that shows in Parent at most.
package manifest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Limits.
const (
	MaxSealed   = 4 << 20 // bytes of a sealed manifest
	MaxProblems = 10_000  // that are listed; there is no limit to how many are counted
	MaxRoots    = 10_000

	maxText         = 1024    // bytes of a text; a longer one is cut
	maxProblemBytes = 3 << 20 // of all that are listed: what comes after is only counted
)

// Info is the purpose for which a manifest is sealed to an identity.
const Info = "holdfast/v1/manifest"

// Errors of [Open], next to those of the keyring.
var (
	ErrForged    = errors.New("this manifest was not made by a device of the account")
	ErrMalformed = errors.New("not a manifest of this version")
)

// Manifest is what a snapshot says about itself.
type Manifest struct {
	Root       seal.Key  // of the tree: whoever has it can read the snapshot
	Device     id.Device // that made it
	DeviceName string
	Hostname   string
	OS         string   // GOOS/GOARCH, such as "linux/amd64"
	Roots      []string // that were asked for: raw bytes, absolute paths of the device

	Started, Finished time.Time // by the device's clock, to the nanosecond, UTC

	Files, Bytes, Dirs int64 // in the tree

	Parent       id.Snapshot // on which the device built; zero if there is none
	Problems     []Problem   // the first of what could not be read
	ProblemCount int64       // of all, listed or not
	AgentVersion string
}

// Problem is a file that is not in the snapshot, or not as it should be.
type Problem struct {
	Path  string // raw bytes, as in the tree
	Cause string // permission, vanished, changed, io, too-long, other
	Text  string // what the system said, for a person
}

// Seal returns m, sealed to an identity for the server to keep.
//
// A backup of many hours must not fail at its last step, so Seal mends what it can: it cuts long texts,
// replaces what is not UTF-8 in them, and lists as many problems as there is room for. It fails if a time is
// not set, a number is negative, the roots are too many or too long, or identityPublic is no public key.
func (m *Manifest) Seal(sp *keyring.Space, identityPublic []byte) ([]byte, error) {
	v := m.mended()
	if err := v.validate(); err != nil {
		return nil, err
	}
	plain := v.signed(sp)
	if n := len(plain) + keyring.SealedOverhead; n > MaxSealed {
		return nil, fmt.Errorf("the manifest would have %d bytes, and may have %d: the list of folders to back up is too long", n, MaxSealed)
	}
	return keyring.SealTo(identityPublic, Info, plain)
}

// signed returns version[1] || MAC[32] || body, where the MAC is over version || body.
func (m *Manifest) signed(sp *keyring.Space) []byte {
	msg := m.encode([]byte{version})
	mac := sp.ManifestMAC(msg)
	return slices.Insert(msg, 1, mac[:]...)
}

// Open opens a manifest and checks that a device of the account made it. It fails with
// [keyring.ErrWrongKey], [keyring.ErrMalformed], [ErrForged] or [ErrMalformed].
func Open(a *keyring.Account, sealed []byte) (*Manifest, error) {
	if len(sealed) > MaxSealed {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrMalformed, len(sealed))
	}
	plain, err := a.OpenSealed(Info, sealed)
	if err != nil {
		return nil, fmt.Errorf("opening a manifest: %w", err)
	}
	return verify(a.Space(), plain)
}

// verify reads what signed wrote.
func verify(sp *keyring.Space, plain []byte) (*Manifest, error) {
	if len(plain) < 1+macSize {
		return nil, fmt.Errorf("%w: it ends early", ErrMalformed)
	}
	if plain[0] != version {
		return nil, fmt.Errorf("%w: it has version %d", ErrMalformed, plain[0])
	}
	body := plain[1+macSize:]
	if !sp.VerifyManifest(append([]byte{version}, body...), plain[1:1+macSize]) {
		return nil, ErrForged
	}
	return decode(body)
}

// mended returns a copy of m that the reader accepts, as far as that can be had.
func (m *Manifest) mended() *Manifest {
	v := *m
	for _, s := range []*string{&v.DeviceName, &v.Hostname, &v.OS, &v.AgentVersion} {
		*s = text(*s)
	}
	v.Problems = nil
	size := 0
	for _, p := range m.Problems {
		p.Cause, p.Text = text(p.Cause), text(p.Text)
		size += len(p.Path) + len(p.Cause) + len(p.Text) + 12
		if len(v.Problems) == MaxProblems || size > maxProblemBytes {
			break
		}
		v.Problems = append(v.Problems, p)
	}
	v.ProblemCount = max(v.ProblemCount, int64(len(m.Problems)))
	return &v
}

// text makes s valid UTF-8 of at most maxText bytes.
func text(s string) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// The times that 64 bits of nanoseconds reach.
var (
	earliest = time.Unix(0, math.MinInt64)
	latest   = time.Unix(0, math.MaxInt64)
)

// validate says what is wrong with m, for the writer and the reader alike.
func (m *Manifest) validate() error {
	for _, t := range []time.Time{m.Started, m.Finished} {
		if t.Before(earliest) || t.After(latest) {
			return fmt.Errorf("a manifest of the time %v", t)
		}
	}
	for _, n := range []int64{m.Files, m.Bytes, m.Dirs, m.ProblemCount} {
		if n < 0 {
			return fmt.Errorf("a manifest that counts %d", n)
		}
	}
	if len(m.Roots) > MaxRoots {
		return fmt.Errorf("a manifest of %d roots, and %d are the most", len(m.Roots), MaxRoots)
	}
	if int64(len(m.Problems)) > m.ProblemCount {
		return fmt.Errorf("a manifest that lists %d problems and counts %d", len(m.Problems), m.ProblemCount)
	}
	return nil
}
