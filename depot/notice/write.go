package notice

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// Event is what to tell one person.
type Event struct {
	User     id.User
	Kind     string // one of [Kinds]
	Title    string // a short line for people, without names of files
	Body     string // a sentence or two: what happened, and what to do
	Device   id.Device
	Run      id.Run
	Severity Severity // empty: the kind's

	// Also is an address to which it is mailed in any case, at once and whatever the person chose: the one that the account had before, or has and is about to
	// lose. Empty: none.
	Also string

	// Key makes the event one of which a person is told once until [Forget] is called with the same key. Empty: every time.
	Key string
}

// Write tells somebody as part of tx: neither the deed nor the word about it exists without the other. After the commit the
// caller rings [Topic], or the reader learns of it at the next look.
func Write(ctx context.Context, tx *sqlx.Tx, e Event) error {
	return insert(ctx, tx, e)
}

// Forget lets an event with the key be told again: what it was about is over.
func Forget(ctx context.Context, tx *sqlx.Tx, user id.User, key string) error {
	return forget(ctx, tx, user, key)
}

// Admins tells all administrators and superusers as part of tx; e.User is not looked at. It returns whom to ring after the commit.
func Admins(ctx context.Context, tx *sqlx.Tx, e Event) ([]id.User, error) {
	users, err := admins(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		e.User = u
		if err := Write(ctx, tx, e); err != nil {
			return nil, err
		}
	}
	return users, nil
}

// ForgetAll is [Forget] for everybody who was told.
func ForgetAll(ctx context.Context, tx *sqlx.Tx, key string) error {
	return forgetAll(ctx, tx, key)
}

// Topic is where a person's notifications ring.
func Topic(user id.User) string { return "notices:" + user.String() }
