package order

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Limits of a report and a note.
const (
	MaxSealedReport = 1 << 20 // bytes, sealed
	MaxFailures     = 10_000  // that are listed; there is no limit to how many are counted
	MaxSealedNote   = 8 << 10 // bytes, sealed
	MaxNote         = 4096    // bytes of a note's text; a longer one is cut

	maxText         = 1024      // bytes of any other text; a longer one is cut
	maxFailureBytes = 768 << 10 // of all that are listed: what comes after is only counted
)

// Report is what came of an [Order]. The server may show it for another one: whoever opens it compares Order, Snapshot and
// Device with what it knows of them.
type Report struct {
	Order    ID
	Snapshot id.Snapshot
	Device   id.Device

	Started, Finished time.Time // by the device's clock, to the nanosecond, UTC

	Files, Dirs, Others, Bytes, Skipped int64 // as in restore.Result

	Error        string    // why it ended before its end; "" if it came to its end
	Failures     []Failure // the first of what could not be put back
	FailureCount int64     // of all, listed or not
}

// Failure is a path that could not be put back.
type Failure struct {
	Path string // raw bytes, as in the tree
	Text string // what is wrong, for a person
}

// Seal returns r, sealed to the owner's identity. It cuts long texts, replaces what is not UTF-8 in them, and lists as many
// failures as there is room for. It fails if r names no order, snapshot or device, if a time is not set or a number is
// negative, or if identityPublic is no public key.
func (r *Report) Seal(space *keyring.Space, identityPublic []byte) ([]byte, error) {
	v := r.mended()
	if err := v.validate(); err != nil {
		return nil, err
	}
	return sealed(space, identityPublic, InfoReport, v.encode(), MaxSealedReport)
}

// OpenReport opens a report that a device of the account sealed. It fails with [keyring.ErrWrongKey],
// [keyring.ErrMalformed], [ErrForged] or [ErrMalformed].
func OpenReport(a *keyring.Account, sealed []byte) (*Report, error) {
	body, err := opened(a, a.Space(), InfoReport, sealed, MaxSealedReport)
	if err != nil {
		return nil, err
	}
	return decodeReport(body)
}

// mended returns a copy of r that the reader accepts, as far as that can be had.
func (r *Report) mended() *Report {
	v := *r
	v.Error = clip(v.Error, maxText)
	v.Failures = nil
	size := 0
	for _, f := range r.Failures {
		f.Text = clip(f.Text, maxText)
		size += len(f.Path) + len(f.Text) + 9 // what CBOR adds at most
		if len(v.Failures) == MaxFailures || size > maxFailureBytes {
			break
		}
		v.Failures = append(v.Failures, f)
	}
	v.FailureCount = max(v.FailureCount, int64(len(r.Failures)))
	return &v
}

func (r *Report) validate() error {
	if (r.Order == ID{}) || r.Snapshot.IsZero() || r.Device.IsZero() {
		return errors.New("a report names an order, a snapshot and a device")
	}
	for _, t := range []time.Time{r.Started, r.Finished} {
		if err := checkTime(t); err != nil {
			return err
		}
	}
	for _, n := range []int64{r.Files, r.Dirs, r.Others, r.Bytes, r.Skipped, r.FailureCount} {
		if n < 0 {
			return fmt.Errorf("a report that counts %d", n)
		}
	}
	if int64(len(r.Failures)) > r.FailureCount {
		return fmt.Errorf("a report that lists %d failures and counts %d", len(r.Failures), r.FailureCount)
	}
	return nil
}

// Note says why a run failed. The server may show it for another run: whoever opens it compares Run and Device.
type Note struct {
	Run    [16]byte // its id; zero for a backup that no run asked for
	Device id.Device
	At     time.Time // by the device's clock, to the nanosecond, UTC
	Text   string    // for a person
}

// Seal returns n, sealed to the owner's identity. It cuts a long text and replaces what is not UTF-8 in it. It fails if n
// names no device or the time is not set, or if identityPublic is no public key.
func (n *Note) Seal(space *keyring.Space, identityPublic []byte) ([]byte, error) {
	v := *n
	v.Text = clip(v.Text, MaxNote)
	if err := v.validate(); err != nil {
		return nil, err
	}
	return sealed(space, identityPublic, InfoNote, v.encode(), MaxSealedNote)
}

// OpenNote opens a note that a device of the account sealed. It fails with [keyring.ErrWrongKey],
// [keyring.ErrMalformed], [ErrForged] or [ErrMalformed].
func OpenNote(a *keyring.Account, sealed []byte) (*Note, error) {
	body, err := opened(a, a.Space(), InfoNote, sealed, MaxSealedNote)
	if err != nil {
		return nil, err
	}
	return decodeNote(body)
}

func (n *Note) validate() error {
	if n.Device.IsZero() {
		return errors.New("a note names a device")
	}
	return checkTime(n.At)
}

// clip makes s valid UTF-8 of at most limit bytes.
func clip(s string, limit int) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if len(s) <= limit {
		return s
	}
	for !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
