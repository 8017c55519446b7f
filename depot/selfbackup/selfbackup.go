// Package selfbackup keeps copies of the database in the store, sealed, so that the store alone is enough to begin again.
//
// Everything else in the store can be made use of only with the accounts' sealed keys, and those are in the database alone. So
// now and then the whole database is written into the store beside the packs, together with the installation's secret, without which
// nobody could log in. Replication of the store thus carries everything that a disaster must leave.
//
// # What a copy is
//
// A blob meta/<time>-<hash>.age: an age file (age-encryption.org/v1) for one or more recipients, and in it a tar stream of
//
//	manifest.json           see [Manifest]
//	secret                  the installation's secret
//	database.pgdump.000000  what pg_dump --format=custom wrote, cut into parts of 4 MiB
//	database.pgdump.000001  …
//
// The time is the database's; the hash is the beginning of the blob's SHA-256, so that whoever cannot open a copy can still see whether it is whole.
// The server knows recipients only: it can write copies, and cannot read them again. docs/operations.md says how to
// open one by hand.
//
// # What holds
//
//   - A copy that has a name is complete: it gets the name when pg_dump has ended well, all in one transaction of the database.
//   - Older copies are only deleted once a newer one was read back whole. So the newest valid copy is always there.
//   - Passwords reach pg_dump and pg_restore through their environment. Nothing readable touches a disk.
//   - [Recover] restores all or nothing, into an empty database only, and nothing before all of a copy has proved genuine.
//
// # What is not promised
//
// Whoever has an identity that a copy is sealed to has the database and the secret: may read what the server may, try passwords and
// stand in for it. No backup is readable with that. A copy is as old as its time: what came later, a rebuild of the index finds in the
// packs, but not new people, changed passwords or settings; and what was deleted since comes back until it is deleted again.
package selfbackup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// DefaultKeep is how many copies are kept.
const DefaultKeep = 14

// late is the age of the newest copy from which on something is wrong.
const late = 49 * time.Hour

// Config says what is copied whereto.
type Config struct {
	DB          *sqlx.DB
	DatabaseURL string // of the same database, for pg_dump
	Store       blob.Store
	Secret      []byte          // the installation's; nil: not known here, so nothing can be copied
	Recipients  []age.Recipient // who can open copies: see [ParseRecipients]; none: no copies are made
	Keep        int             // how many copies are kept; 0: DefaultKeep
}

// Service makes copies. It is safe for concurrent use.
type Service struct {
	cfg  Config
	find func(program string, server int) (string, error)
}

// New returns a service.
func New(cfg Config) *Service {
	if cfg.Keep == 0 {
		cfg.Keep = DefaultKeep
	}
	return &Service{cfg, local.FindClient}
}

// ParseRecipients reads recipients of age, age1…, apart by commas or white space: what HOLDFAST_METADATA_RECIPIENT holds. An empty
// text gives none. It fails with BAD_INPUT.
func ParseRecipients(s string) ([]age.Recipient, error) {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
	if len(words) == 0 {
		return nil, nil
	}
	if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(strings.ToUpper(w), "AGE-SECRET-KEY-") }) {
		return nil, fault.New(fault.Invalid, "this is an identity, not a recipient: it must not be on the server at all; give the public key that age-keygen -y prints for it")
	}
	recipients, err := age.ParseRecipients(strings.NewReader(strings.Join(words, "\n")))
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "a recipient of metadata copies looks like age1…, as age-keygen prints it")
	}
	if _, err := age.Encrypt(io.Discard, recipients...); err != nil { // some kinds do not go together
		return nil, fault.Wrap(err, fault.Invalid, "these recipients of metadata copies do not go together")
	}
	return recipients, nil
}

// Info describes a copy.
type Info struct {
	Name string    // in the store
	At   time.Time // when it was begun, by the database's clock
	Size int64     // bytes
}

// Configured reports whether copies are made.
func (s *Service) Configured() bool { return len(s.cfg.Recipients) > 0 }

// Dump writes a copy into the store, and then deletes copies that are too old. It fails with CONFLICT if no recipient is
// configured, and with UNAVAILABLE if pg_dump is missing or fails or the copy does not read back. If only the deleting failed, there is an error and an
// Info. Superusers and the system may ask.
func (s *Service) Dump(ctx context.Context, a actor.Actor) (Info, error) {
	if err := a.Require(actor.Superuser); err != nil {
		return Info{}, err
	}
	switch {
	case !s.Configured():
		return Info{}, fault.New(fault.Conflict, "the database is not copied into the store: make an identity with age-keygen, keep it elsewhere, and set HOLDFAST_METADATA_RECIPIENT to its public key")
	case len(s.cfg.Secret) == 0:
		return Info{}, fault.New(fault.Conflict, "a copy needs the installation's secret, and this program was not given it")
	}
	state, err := readState(ctx, s.cfg.DB)
	if err != nil {
		return Info{}, err
	}
	program, err := s.find("pg_dump", state.major())
	if err != nil {
		return Info{}, err
	}
	info, err := s.write(ctx, program, state)
	if err != nil {
		return Info{}, err
	}
	if err := s.verify(ctx, info); err != nil {
		return Info{}, err
	}
	return info, s.prune(ctx, info)
}

// write makes the copy.
func (s *Service) write(ctx context.Context, program string, st state) (Info, error) {
	pending, err := s.cfg.Store.Create(ctx)
	if err != nil {
		return Info{}, err
	}
	defer pending.Abort()
	out := &counter{to: pending, hash: sha256.New()}
	sealed, err := age.Encrypt(out, s.cfg.Recipients...)
	if err != nil {
		return Info{}, fmt.Errorf("seal a copy of the database: %w", err)
	}
	m := Manifest{Format: format, Version: proto.Version, Made: st.Now, Schema: st.Schema, Server: st.Server}
	err = writeArchive(sealed, m, s.cfg.Secret, func(w io.Writer) error { return dump(ctx, program, s.cfg.DatabaseURL, w) })
	if err == nil {
		err = sealed.Close()
	}
	if out.err != nil { // whatever else came of it
		return Info{}, out.err
	}
	if err != nil {
		return Info{}, err
	}
	info := Info{Name: name(st.Now, out.hash.Sum(nil)), At: st.Now, Size: out.n}
	return info, pending.Commit(ctx, info.Name)
}

// verify reads a copy back.
func (s *Service) verify(ctx context.Context, info Info) error {
	r, err := s.cfg.Store.Open(ctx, info.Name, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the copy of the database %s was written and cannot be read back", info.Name)
	}
	if name(info.At, h.Sum(nil)) != info.Name {
		return fault.New(fault.Unavailable, "the copy of the database %s reads back wrong: look after the store's disk; older copies are kept", info.Name)
	}
	return nil
}

// prune deletes all but the newest copies. fresh was just written and read back. Copies that say that they are from after it are of a
// clock that was wrong: they stay, and take nobody's place.
func (s *Service) prune(ctx context.Context, fresh Info) error {
	all, err := list(ctx, s.cfg.Store)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(i Info) bool { return i.At.After(fresh.At) || i.Name == fresh.Name })
	for _, old := range all[min(len(all), s.cfg.Keep-1):] {
		if err := s.cfg.Store.Delete(ctx, old.Name); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "a new copy of the database is in the store, but the old one %s cannot be deleted", old.Name)
		}
	}
	return nil
}

// List returns the copies, newest first. Administrators may ask.
func (s *Service) List(ctx context.Context, a actor.Actor) ([]Info, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	return list(ctx, s.cfg.Store)
}

// list returns the copies in a store, newest first.
func list(ctx context.Context, store blob.Store) ([]Info, error) {
	var all []Info
	err := store.List(ctx, prefix, func(b blob.Info) error {
		if at, ok := parseName(b.Name); ok {
			all = append(all, Info{b.Name, at, b.Size})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Info) int {
		if c := b.At.Compare(a.At); c != 0 {
			return c
		}
		return strings.Compare(b.Name, a.Name)
	})
	return all, nil
}

// Due reports whether it is time for a copy: whether some are wanted and the newest is older than every, by the database's clock.
func (s *Service) Due(ctx context.Context, every time.Duration) (bool, error) {
	if !s.Configured() {
		return false, nil
	}
	_, old, err := s.newest(ctx)
	return err == nil && old >= every, err
}

// newest returns the newest copy that is not from the future, and its age. Without one the age is beyond every bound.
func (s *Service) newest(ctx context.Context) (Info, time.Duration, error) {
	st, err := readState(ctx, s.cfg.DB)
	if err != nil {
		return Info{}, 0, err
	}
	all, err := list(ctx, s.cfg.Store)
	if err != nil {
		return Info{}, 0, err
	}
	for _, i := range all {
		if !i.At.After(st.Now) {
			return i, st.Now.Sub(i.At), nil
		}
	}
	return Info{}, 1<<63 - 1, nil
}

// Check says for a doctor how it stands: in one sentence, which is the error's if something is wrong. That no copies
// are wanted is said and is not wrong: whoever runs the server may copy the database otherwise.
func (s *Service) Check(ctx context.Context) (string, error) {
	if !s.Configured() {
		return "the database is not copied into the store: set HOLDFAST_METADATA_RECIPIENT, or copy it yourself", nil
	}
	st, err := readState(ctx, s.cfg.DB)
	if err != nil {
		return "", err
	}
	if _, err := s.find("pg_dump", st.major()); err != nil {
		return "", err
	}
	newest, old, err := s.newest(ctx)
	switch {
	case err != nil:
		return "", err
	case newest.Name == "":
		return "", errors.New("the store holds no copy of the database yet: the worker makes one within the hour, and its log says if it cannot")
	case old > late:
		return "", fmt.Errorf("the newest copy of the database is %s old: the worker's log says why it makes no newer one", old.Round(time.Hour))
	}
	return fmt.Sprintf("the database was copied into the store %s ago", old.Round(time.Minute)), nil
}

// counter counts and hashes what goes through it, and remembers why it could not.
type counter struct {
	to   io.Writer
	hash hash.Hash
	n    int64
	err  error
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.hash.Write(b[:n])
	c.n += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}
