package notice

import (
	"context"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/keyset"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// MailPage is a part of the list of mails, newest first.
type MailPage struct {
	Mails   []*Mail
	HasNext bool // whether Mails with the last one's cursor would give more
}

// Cursor returns where m stands in the list, for [Service.Mails].
func (m *Mail) Cursor() string { return keyset.Position[id.Mail]{At: m.CreatedAt, ID: m.ID}.Cursor() }

// Mails returns up to first mails that follow the cursor after (empty: from the newest on), to administrators: to whom, about what
// and with what success, not what is in them.
func (s *Service) Mails(ctx context.Context, a actor.Actor, failedOnly bool, first int, after string) (*MailPage, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	from, err := parsePage[id.Mail](first, after)
	if err != nil {
		return nil, err
	}
	rows, err := listMails(ctx, s.cfg.DB, failedOnly, from, first+1)
	if err != nil {
		return nil, err
	}
	page := &MailPage{Mails: rows}
	if len(rows) > first {
		page.Mails, page.HasNext = rows[:first], true
	}
	return page, nil
}

// Mail returns one mail, to administrators.
func (s *Service) Mail(ctx context.Context, a actor.Actor, m id.Mail) (*Mail, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	row, err := mailByID(ctx, s.cfg.DB, m)
	if err == nil && row == nil {
		err = fault.New(fault.NotFound, "there is no such mail")
	}
	if err != nil {
		return nil, err
	}
	return row, nil
}

// MailFrom returns as whom mail is sent, "" without a mail server.
func (s *Service) MailFrom() string {
	if s.cfg.Mail == nil {
		return ""
	}
	from := s.cfg.Mail.Config().From
	return from.String()
}
