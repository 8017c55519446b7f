package notice

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/mail"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	hands = 4 // mails on their way at once, of one Deliver

	// claim is how long a mail belongs to who took it: longer than [mail.DefaultTimeout], and so than any attempt.
	claim = 5 * time.Minute

	// patience is how many mails in a row may be put off before Deliver leaves the rest for its next call: it is the server
	// that is not well.
	patience = 3

	// margin is how long before ctx's deadline no further mail is begun: one that is cut off may have to be sent twice.
	margin = 10 * time.Second

	firstWait = time.Minute // after the first attempt that came to nothing; then twice as long each time
	maxWait   = 6 * time.Hour
	giveUp    = 48 * time.Hour // since the mail was written
)

// outgoing is a mail to be sent.
type outgoing struct {
	ID        id.Mail `db:"id"`
	Address   string  `db:"address"`
	Kind      string  `db:"kind"`
	Subject   string  `db:"subject"`
	Text      string  `db:"text"`
	HTML      string  `db:"html"`
	Attempts  int     `db:"attempts"` // this one included
	Suspended bool    `db:"suspended"`
}

// Deliver sends the mails that are due, and leaves those to its next call that ctx's deadline might cut off. What the mail server has to say about one stands in its row; the error that it
// returns is only about ourselves, or ctx's once that is over.
func (s *Service) Deliver(ctx context.Context) error {
	if s.cfg.Mail == nil {
		return nil
	}
	var wg sync.WaitGroup
	var putOff atomic.Int32 // in a row
	errs := make([]error, hands)
	for i := range hands {
		wg.Go(func() {
			for ctx.Err() == nil && !nearlyOver(ctx) && putOff.Load() < patience {
				m, err := take(ctx, s.cfg.DB, claim)
				if err != nil || m == nil {
					errs[i] = err
					return
				}
				later, err := s.send(ctx, m)
				if err != nil {
					errs[i] = err
					return
				}
				if later {
					putOff.Add(1)
				} else {
					putOff.Store(0)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

func nearlyOver(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ok && time.Until(end) < margin
}

// send tries one mail and writes what came of it. It reports whether the mail was put off.
func (s *Service) send(ctx context.Context, m *outgoing) (later bool, err error) {
	if m.Suspended {
		return false, failed(ctx, s.cfg.DB, m, "its reader was suspended")
	}
	err = s.cfg.Mail.Send(ctx, m.message(s.cfg.URL))
	// The answer is written though our time is up: it may be that the server has taken the mail.
	done, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	switch {
	case err == nil:
		return false, sent(done, s.cfg.DB, m)
	case ctx.Err() != nil:
		return true, untried(done, s.cfg.DB, m)
	case mail.Permanent(err):
		return false, failed(done, s.cfg.DB, m, sentence(err))
	}
	return true, postpone(done, s.cfg.DB, m, sentence(err), wait(m.Attempts), giveUp)
}

// wait is how long a mail waits after its nth attempt.
func wait(n int) time.Duration {
	if n > 10 {
		return maxWait
	}
	return min(firstWait<<(n-1), maxWait)
}

// message is the mail as depot/mail sends it. Its id is the row's: all attempts are one mail.
func (m *outgoing) message(url string) mail.Message {
	msg := mail.Message{To: m.Address, Subject: m.Subject, Text: m.Text, HTML: m.HTML, ID: m.ID.String(), ListID: m.Kind}
	if m.Kind != mailTest && m.Kind != mailCode {
		msg.Settings = strings.TrimRight(url, "/") + pageSettings
	}
	return msg
}

// sentence is what an error says to a person.
func sentence(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Message
	}
	return err.Error()
}

// SendTest sends a mail to the caller, an administrator, at once, and returns the address. It fails with CONFLICT without a mail server, with
// BAD_INPUT if the server refuses the address, and with UNAVAILABLE and the server's own words if it refuses us or is
// not there. The mail is in the list of mails whatever came of it.
func (s *Service) SendTest(ctx context.Context, a actor.Actor) (string, error) {
	if err := a.Require(actor.Admin); err != nil {
		return "", err
	}
	me, err := a.Person()
	if err != nil {
		return "", err
	}
	if s.cfg.Mail == nil {
		return "", fault.New(fault.Conflict, "no mail server is configured: start the server and the worker with --smtp-url, such as %s", mail.Example)
	}
	_, st, err := s.settings(ctx)
	if err != nil {
		return "", err
	}
	c, err := mail.TestLetter(st.brand)
	if err != nil {
		return "", err
	}
	m, err := insertTest(ctx, s.cfg.DB, me, c, claim)
	if err != nil {
		return "", err
	}
	err = s.cfg.Mail.Send(ctx, m.message(s.cfg.URL))
	done, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err == nil {
		return m.Address, sent(done, s.cfg.DB, m)
	}
	if err := failed(done, s.cfg.DB, m, sentence(err)); err != nil {
		return "", err
	}
	if errors.Is(err, fault.Forbidden) { // it is us whom the server refuses, not the caller whom we do
		return "", fault.Wrap(err, fault.Unavailable, "%s", sentence(err))
	}
	return "", err
}
