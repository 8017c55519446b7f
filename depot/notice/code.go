package notice

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/mail"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Code is what is mailed to an address that somebody wants to have.
type Code struct {
	User    id.User
	Name    string // of the user
	Address string // the new one
	Code    string // as it is typed
	Until   time.Time
}

// MailCode writes the mail with a code to an address that somebody wants to have, as part of tx. It is no notification: it is for who reads the mail of that
// address, and not for who is logged in.
func (s *Service) MailCode(ctx context.Context, tx *sqlx.Tx, c Code) error {
	_, st, err := s.settings(ctx)
	if err != nil {
		return err
	}
	letter, err := mail.Code(st.brand, mail.CodeData{Name: c.Name, Code: c.Code, Until: c.Until.In(st.zone).Format("2 January, 15:04"), Link: pageProfile})
	if err != nil {
		return err
	}
	_, err = insertMail(ctx, tx, reader{ID: c.User, Address: c.Address}, mailCode, letter, "")
	return err
}
