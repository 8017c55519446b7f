package catalog

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/token"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// maxImports is how many imports of one application may be under way.
const maxImports = 4

// BeginImport begins a session into which the owner of an application writes something that was saved elsewhere, in the name of the application's
// device and beside that device's own session: neither ends the other. The token that it returns opens this one session: see
// actor.RequireWriter. It ends with the session, by commit, abort or silence, and with the login or the API token that the owner came with. Only the
// owner may.
func (s *Service) BeginImport(ctx context.Context, a actor.Actor, app id.Application) (*Begun, string, error) {
	me, err := a.Person()
	if err != nil {
		return nil, "", err
	}
	b := s.begun()
	text, hash := token.New(proto.TokenImport)
	var device id.Device
	err = s.inTx(ctx, func(tx *sqlx.Tx) error {
		row, err := applicationOf(ctx, tx, app)
		if err != nil {
			return err
		}
		if row == nil || row.Owner != me {
			return fault.New(fault.NotFound, "there is no such application")
		}
		switch {
		case row.Removed:
			return fault.New(fault.Conflict, "the device has the application “%s” no more: register it there again", row.Name)
		case row.Revoked:
			return fault.New(fault.Conflict, "the device of the application “%s” was revoked: nothing can be added to it", row.Name)
		}
		device = row.Device
		if _, err := s.begin(ctx, tx, device, b, &importing{app, hash, credential(a)}); err != nil {
			return err
		}
		// begin holds the device's row, so that two that begin count one another.
		if n, err := countImports(ctx, tx, s.cfg.SessionTTL, app); err != nil {
			return err
		} else if n > maxImports {
			return fault.New(fault.Conflict, "%d imports of “%s” are under way already: let one end first", n-1, row.Name)
		}
		return audit.Write(ctx, tx, audit.Event{Kind: "import.began", Actor: a, Owner: me, Text: "An import into the application “" + row.Name + "” was begun."})
	})
	if err != nil {
		return nil, "", err
	}
	s.tell(ctx, device, b.ID)
	return b, text, nil
}

// importing is what makes a session one of an import.
type importing struct {
	app   id.Application
	token []byte // its hash
	by    string // the credential, as its UUID
}

// credential names what a person came with: a login session or an API token.
func credential(a actor.Actor) string {
	if a.Session.IsZero() {
		return a.APIToken.UUID()
	}
	return a.Session.UUID()
}

// AuthenticateImport returns the import that a token stands for. It fails with UNAUTHENTICATED if the token is unknown, the credential ended with which
// it was begun, or its session ended more than an hour ago; until then the session itself says why it takes no more.
func (s *Service) AuthenticateImport(ctx context.Context, text string) (actor.Actor, error) {
	refused := fault.New(fault.Unauthenticated, "this import has ended: begin it again")
	if token.Kind(text) != proto.TokenImport {
		return actor.Actor{}, refused
	}
	row, err := importByToken(ctx, s.cfg.DB, token.Hash(text))
	if err != nil {
		return actor.Actor{}, pg.Fault(err)
	}
	if row == nil {
		return actor.Actor{}, refused
	}
	return actor.Actor{Import: row.ID, ImportTo: row.Device}, nil
}
