package selfbackup

import (
	"context"
	"errors"
	"io"

	"filippo.io/age"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Recovered is what came of a recovery.
type Recovered struct {
	Info     Info
	Manifest Manifest
	Secret   []byte    // the installation's: whoever recovers keeps it for the server
	Skipped  []Skipped // newer copies that could not be used
}

// Skipped is a copy that could not be used.
type Skipped struct {
	Name   string
	Reason string // a sentence
}

// ParseIdentities reads an identity file as age-keygen writes it. It fails with BAD_INPUT.
func ParseIdentities(r io.Reader) ([]age.Identity, error) {
	ids, err := age.ParseIdentities(r)
	if err != nil {
		// Its cause may quote the file.
		return nil, fault.New(fault.Invalid, "this is not an identity file of age: it has a line AGE-SECRET-KEY-1…, as age-keygen writes it")
	}
	return ids, nil
}

// Recover restores the newest copy in a store that the identities open and that is whole into an empty database, all or nothing. It fails with
//
//	NOT_FOUND    the store has no copy
//	CONFLICT     the database is not empty; or a copy is of a newer form
//	FORBIDDEN    no copy was sealed to any of the identities
//	UNAVAILABLE  every copy that they open is damaged; or the store, the database or pg_restore failed
//
// What the database has then is the copy's: run the migrations and a rebuild of the index next.
func Recover(ctx context.Context, store blob.Store, identities []age.Identity, databaseURL string) (Recovered, error) {
	return recovery{store, identities, databaseURL, local.FindClient}.run(ctx)
}

type recovery struct {
	store       blob.Store
	identities  []age.Identity
	databaseURL string
	find        func(program string, server int) (string, error)
}

func (r recovery) run(ctx context.Context) (Recovered, error) {
	var out Recovered
	copies, err := list(ctx, r.store)
	if err != nil {
		return out, err
	}
	if len(copies) == 0 {
		return out, fault.New(fault.NotFound, "the store has no copy of a database (nothing under %s): copies are made while HOLDFAST_METADATA_RECIPIENT is set; without one, restore a dump of your own", prefix)
	}
	program, err := r.prepare(ctx)
	if err != nil {
		return out, err
	}
	foreign := 0
	for _, c := range copies {
		out.Info = c
		out.Manifest, out.Secret, err = r.try(ctx, program, c)
		var mismatch *age.NoIdentityMatchError
		switch {
		case err == nil:
			return out, nil
		case errors.As(err, &mismatch):
			foreign++
			out.Skipped = append(out.Skipped, Skipped{c.Name, "it was sealed to another identity"})
		case errors.Is(err, errDamaged):
			out.Skipped = append(out.Skipped, Skipped{c.Name, err.Error()})
		default:
			return Recovered{}, err
		}
	}
	if foreign == len(copies) {
		return Recovered{}, fault.New(fault.Forbidden, "none of the %d copies of the database in the store was sealed to this identity: find the one whose public key was in HOLDFAST_METADATA_RECIPIENT", foreign)
	}
	return Recovered{}, fault.New(fault.Unavailable, "none of the %d copies of the database in the store can be used; the newest, %s: %s", len(copies), out.Skipped[0].Name, out.Skipped[0].Reason)
}

// prepare makes sure of the database and returns the program.
func (r recovery) prepare(ctx context.Context) (string, error) {
	db, err := pg.Open(ctx, r.databaseURL)
	if err != nil {
		return "", err
	}
	defer db.Close()
	none, err := empty(ctx, db)
	if err != nil {
		return "", err
	}
	if !none {
		return "", fault.New(fault.Conflict, "the database is not empty, and nothing is restored over what is there: make a new one")
	}
	st, err := readState(ctx, db)
	if err != nil {
		return "", err
	}
	return r.find("pg_restore", st.major())
}

// try restores one copy.
func (r recovery) try(ctx context.Context, program string, c Info) (Manifest, []byte, error) {
	blob, err := r.store.Open(ctx, c.Name, 0, -1)
	if err != nil {
		return Manifest{}, nil, err
	}
	defer blob.Close()
	in := &source{from: blob}
	plain, err := age.Decrypt(in, r.identities...)
	var a *archive
	if err == nil {
		a, err = openArchive(plain)
	} else if !errors.As(err, new(*age.NoIdentityMatchError)) {
		err = damaged(err)
	}
	if err == nil {
		err = restore(ctx, program, r.databaseURL, a.dump)
	}
	switch {
	case err == nil:
		return a.manifest, a.secret, nil
	case ctx.Err() != nil:
		return Manifest{}, nil, ctx.Err()
	case in.err != nil: // a store that breaks off says nothing about the copy
		return Manifest{}, nil, fault.Wrap(in.err, fault.Unavailable, "the store broke off while %s was read", c.Name)
	}
	return Manifest{}, nil, err
}

// source remembers why a blob could not be read.
type source struct {
	from io.Reader
	err  error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.from.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
