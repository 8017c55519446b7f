package notice

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/mail"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Bus is what the package needs of depot/bus.
type Bus interface {
	Publish(ctx context.Context, topic string, msg []byte)
}

// Settings is what the package needs of depot/setting, which itself tells people of their quotas and so stands above.
type Settings struct {
	ProductName       string
	Zone              string // IANA name: of the digests' hour and of every time in a mail
	DigestHour        int
	AdminDigestDays   int // 0: none, 1: daily, 7: on Mondays
	MailsPerHour      int // to one address, at once
	StorageLowPercent int
}

// Config is what a Service stands on.
type Config struct {
	DB       *sqlx.DB
	Bus      Bus                                     // nil: nobody is rung
	Mail     *mail.Sender                            // nil: no mail is written
	Settings func(context.Context) (Settings, error) // needed by everything but reading and Write
	Numbers  Numbers                                 // what digests say of devices and runs; nil: nothing
	URL      string                                  // where people open the service
}

// Service is the noun notice. It is safe for concurrent use, and any number of them may work on one database.
type Service struct{ cfg Config }

// New returns the service.
func New(cfg Config) *Service { return &Service{cfg} }

// ring tells people's open pages to look.
func (s *Service) ring(ctx context.Context, users ...id.User) {
	if s.cfg.Bus == nil {
		return
	}
	for _, u := range users {
		s.cfg.Bus.Publish(ctx, Topic(u), nil)
	}
}

// Tell tells all administrators, of something that nobody did: a piece of care that failed, a store that fills. With a key they
// are told once, until [Service.Over].
func (s *Service) Tell(ctx context.Context, e Event) error {
	var users []id.User
	err := pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) (err error) {
		users, err = Admins(ctx, tx, e)
		return err
	})
	if err == nil {
		s.ring(ctx, users...)
	}
	return err
}

// Over says that what administrators were told of under the key is over: the next time they are told again.
func (s *Service) Over(ctx context.Context, key string) error {
	return pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error { return ForgetAll(ctx, tx, key) })
}

// The lives of rows.
const (
	keepRead  = 90 * 24 * time.Hour  // since it was read
	keepAll   = 400 * 24 * time.Hour // since it was written
	keepMails = 90 * 24 * time.Hour  // that do not wait any more
)

// Sweep deletes old notifications and mails. What a key kept from being told twice may be told again once its row is gone.
func (s *Service) Sweep(ctx context.Context) error {
	return sweep(ctx, s.cfg.DB, keepRead, keepAll, keepMails)
}
