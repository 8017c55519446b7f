package notice

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Choice is what a person wants by mail of one kind.
type Choice struct {
	Kind string   `db:"kind"`
	Mail MailMode `db:"mail"`
}

// Preferences returns a row for each kind that the caller may be told of, in the order of [Kinds].
func (s *Service) Preferences(ctx context.Context, a actor.Actor) ([]*Preference, error) {
	me, err := a.SignedIn()
	if err != nil {
		return nil, err
	}
	chosen, err := choices(ctx, s.cfg.DB, me)
	if err != nil {
		return nil, err
	}
	return preferences(a, chosen), nil
}

func preferences(a actor.Actor, chosen map[string]MailMode) []*Preference {
	var rows []*Preference
	for _, k := range Kinds {
		if !concerns(k, a) {
			continue
		}
		p := &Preference{Kind: k.Name, Title: k.Title, Severity: k.Severity, Mail: k.Mail, Default: k.Mail}
		if m, ok := chosen[k.Name]; ok {
			p.Mail = m
		}
		rows = append(rows, p)
	}
	return rows
}

// concerns reports whether somebody may be told of a kind.
func concerns(k Kind, a actor.Actor) bool { return !k.Admin || a.Role.AtLeast(actor.Admin) }

// SetPreferences sets what the caller wants by mail of some kinds, and returns all. What waits for a mail already goes by the
// new choice.
func (s *Service) SetPreferences(ctx context.Context, a actor.Actor, set []Choice) ([]*Preference, error) {
	me, err := a.Person()
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var words []string
	for _, c := range set {
		k, ok := kindOf(c.Kind)
		switch {
		case !ok || !concerns(k, a):
			return nil, fault.New(fault.Invalid, "kind: there is no kind of notification %q: ask for notificationPreferences", short(c.Kind))
		case seen[c.Kind]:
			return nil, fault.New(fault.Invalid, "kind: %s is there twice", c.Kind)
		case c.Mail != None && c.Mail != Digest && c.Mail != Instant:
			return nil, fault.New(fault.Invalid, "mail: want none, digest or instant")
		}
		seen[c.Kind] = true
		words = append(words, fmt.Sprintf("%s: %s", c.Kind, c.Mail))
	}
	var chosen map[string]MailMode
	err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) (err error) {
		if len(set) > 0 {
			if err := choose(ctx, tx, me, set); err != nil {
				return err
			}
			// Whoever gets into an account may begin with the mails that would tell of it.
			text := "Which notifications go by mail was changed: " + strings.Join(words, ", ") + "."
			if err := audit.Write(ctx, tx, audit.Event{Kind: "mail.preferences", Actor: a, Owner: me, Text: text}); err != nil {
				return err
			}
		}
		chosen, err = choices(ctx, tx, me)
		return err
	})
	if err != nil {
		return nil, err
	}
	return preferences(a, chosen), nil
}

// short keeps a hostile word from filling a sentence.
func short(s string) string {
	if r := []rune(s); len(r) > 50 {
		return string(r[:50]) + "…"
	}
	return s
}
