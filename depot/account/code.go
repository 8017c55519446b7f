package account

import (
	"context"
	"crypto/hmac"
	"fmt"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// factor is a second factor as the database has it.
type factor struct {
	Secret      []byte     `db:"secret"`    // locked
	LastStep    int64      `db:"last_step"` // it and those before it are spent
	ConfirmedAt *time.Time `db:"confirmed_at"`
}

func (f *factor) on() bool { return f != nil && f.ConfirmedAt != nil }

func codeNeeded() error {
	return fault.New(fault.SecondFactor, "type the code that your device shows, or one of your backup codes")
}

func codeWrong() error {
	return fault.New(fault.SecondFactor, "this code is wrong or was used already: type the next one that your device shows, or a backup code that you have not used")
}

// wrongCode is the key under which a person is told of wrong codes once, until a right one.
const wrongCode = "second-factor:wrong"

// second asks who has shown the right password for a code, if the account has a second factor. refused is the answer for one that is missing
// or wrong; what was written for it must be committed. A wrong code stays counted as a failed login; without a code there was
// nothing to guess, so nothing is counted, and nothing that was counted is forgotten.
func (s *Service) second(ctx context.Context, tx *sqlx.Tx, u id.User, in LoginInput, try *attempt) (refused, err error) {
	f, err := factorOf(ctx, tx, u)
	if err != nil || !f.on() {
		return nil, err
	}
	if in.Within.User == u && !in.Within.Session.IsZero() && !in.Within.ByRecovery {
		if open, err := isOpen(ctx, tx, in.Within.Session, u, s.now()); err != nil || open {
			return nil, err
		}
	}
	if cleanCode(in.Code) == "" {
		return codeNeeded(), try.unlooked(ctx, tx)
	}
	ok, err := s.passes(ctx, tx, u, f, in.Code)
	if err != nil {
		return nil, err
	}
	if ok {
		return nil, notice.Forget(ctx, tx, u, wrongCode)
	}
	err = audit.Write(ctx, tx, audit.Event{Kind: "session.refused", Owner: u,
		Text: "A login from " + cleanAddress(in.Address) + " with " + cleanClient(in.Client) + " was refused: the password was right, the code of the second factor was wrong."})
	if err != nil {
		return nil, err
	}
	return codeWrong(), notice.Write(ctx, tx, notice.Event{User: u, Kind: "account.second_factor", Key: wrongCode, Title: "Your password was typed with a wrong code",
		Body: fmt.Sprintf("It came from %s with %s, and was not let in. If it was not you, set a new password: somebody knows it.", cleanAddress(in.Address), cleanClient(in.Client))})
}

// passes reports whether a code is one that the device shows, or a backup code, and spends it. The user's row is locked.
func (s *Service) passes(ctx context.Context, tx *sqlx.Tx, u id.User, f *factor, code string) (bool, error) {
	code = cleanCode(code)
	if len(code) == int(otp.DigitsSix) {
		return s.timed(ctx, tx, u, f, code)
	}
	used, err := useCode(ctx, tx, u, s.codeHash(u, code), s.now())
	if err != nil || !used {
		return false, err
	}
	left, err := countCodes(ctx, tx, u)
	if err != nil {
		return false, err
	}
	text := fmt.Sprintf("A backup code of the second factor was used; %d are left.", left)
	if err := audit.Write(ctx, tx, audit.Event{Kind: "second_factor.code_used", Actor: actor.Actor{User: u}, Owner: u, Text: text}); err != nil {
		return false, err
	}
	return true, notice.Write(ctx, tx, notice.Event{User: u, Kind: "account.second_factor", Title: "A backup code was used",
		Body: fmt.Sprintf("%d are left. If it was not you, set a new password and make new backup codes.", left)})
}

// timed reports whether a code is the one that the device shows now, showed before or shows next, and was not taken yet. It and those before it
// are spent then.
func (s *Service) timed(ctx context.Context, tx *sqlx.Tx, u id.User, f *factor, code string) (bool, error) {
	secret, err := s.box.Open(f.Secret, u.String())
	if err != nil {
		return false, err
	}
	now := step(s.now())
	for at := now - 1; at <= now+1; at++ {
		want, err := hotp.GenerateCodeCustom(string(secret), uint64(at), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return false, err
		}
		if at > f.LastStep && hmac.Equal([]byte(want), []byte(code)) {
			return true, setLastStep(ctx, tx, u, at)
		}
	}
	return false, nil
}

func (s *Service) codeHash(u id.User, code string) []byte {
	return s.mac("backup code", u[:], []byte(code))
}

// cleanCode is a code without what people put between its parts.
func cleanCode(code string) string {
	if len(code) > 64 {
		return "too long"
	}
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\t' || r == '\u00a0' {
			return -1
		}
		return r
	}, strings.ToUpper(code))
}
