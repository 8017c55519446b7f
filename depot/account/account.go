package account

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/locked"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// User is a person with an account, as the API shows it. What proves or opens the account is no field of it.
type User struct {
	ID             id.User    `db:"id"`
	Email          string     `db:"email"`
	Name           string     `db:"name"`
	Role           actor.Role `db:"role"`
	Suspended      bool       `db:"suspended"`
	CreatedAt      time.Time  `db:"created_at"`
	LastLoginAt    *time.Time `db:"last_login_at"`
	IdentityPublic []byte     `db:"identity_public"` // X-Wing public key, 1216 bytes
	SecondFactor   bool       `db:"second_factor"`   // a login asks for a code
	Reset          bool       `db:"reset"`           // nobody can log in until the person has joined again
	Unproven       bool       `db:"unproven"`        // an administrator without the second factor that is wanted: can only set one up
}

// UserPage is a part of the list of users, by e-mail.
type UserPage struct {
	Users      []*User
	HasNext    bool // whether Users with the last user's cursor would give more
	TotalCount int
}

// Invitation is an offer to make an account.
type Invitation struct {
	ID        id.Invitation `db:"id"`
	Email     *string       `db:"email"` // nil: whoever joins chooses
	Name      *string       `db:"name"`
	Role      actor.Role    `db:"role"`
	ExpiresAt time.Time     `db:"expires_at"`
	Resets    *id.User      `db:"resets"` // the account that it starts anew; nil: it makes one
}

// Session is a login of the caller's.
type Session struct {
	ID         id.Session `db:"id"`
	Client     string     `db:"client"`
	Address    string     `db:"address"`
	CreatedAt  time.Time  `db:"created_at"`
	LastSeenAt time.Time  `db:"last_seen_at"`
	ExpiresAt  time.Time  `db:"expires_at"`
	Current    bool       `db:"current"` // whether the caller came with it
}

// APIToken is a lasting credential for programs of the caller's.
type APIToken struct {
	ID         id.APIToken `db:"id"`
	Name       string      `db:"name"`
	CreatedAt  time.Time   `db:"created_at"`
	LastUsedAt *time.Time  `db:"last_used_at"`
	ExpiresAt  *time.Time  `db:"expires_at"`
}

// Bus is what the package needs of depot/bus.
type Bus interface {
	Publish(ctx context.Context, topic string, msg []byte)
}

// Config is what a Service stands on.
type Config struct {
	DB        *sqlx.DB
	Pepper    []byte // 32 bytes or more that are not in the database
	PublicURL string // where people open the server, without a slash at the end
	Bus       Bus
	Now       func() time.Time // nil: time.Now
	Limits    Limits

	// Mail sends a code to an address, as part of tx. Nil: no mail is sent, and addresses are believed.
	Mail func(ctx context.Context, tx *sqlx.Tx, c notice.Code) error
}

// Limits are the service's times and counts. Zero fields take the defaults, which stand behind them.
type Limits struct {
	SessionIdle     time.Duration // 30 days
	SessionMax      time.Duration // 180 days
	RecoverySession time.Duration // 15 minutes
	Invitation      time.Duration // 7 days
	EmailCode       time.Duration // 24 hours
	APITokens       int           // 50 a user

	FailuresFree        int           // 10 failures of an account cost nothing
	AddressFailuresFree int           // 100 failures from an address cost nothing
	FailureWindow       time.Duration // 24 hours: older failures are forgotten
	LongestWait         time.Duration // 15 minutes
	KnownPlace          time.Duration // 90 days since the last login from there
}

func (l Limits) withDefaults() Limits {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	count := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	const day = 24 * time.Hour
	def(&l.SessionIdle, 30*day)
	def(&l.SessionMax, 180*day)
	def(&l.RecoverySession, 15*time.Minute)
	def(&l.Invitation, 7*day)
	def(&l.EmailCode, day)
	count(&l.APITokens, 50)
	count(&l.FailuresFree, 10)
	count(&l.AddressFailuresFree, 100)
	def(&l.FailureWindow, day)
	def(&l.LongestWait, 15*time.Minute)
	def(&l.KnownPlace, 90*day)
	return l
}

// Service is the noun account. It is safe for concurrent use, and any number of them may work on one database.
type Service struct {
	db     *sqlx.DB
	pepper []byte
	box    *locked.Box // of the secrets of second factors
	url    string
	bus    Bus
	now    func() time.Time
	limits Limits
	mail   func(ctx context.Context, tx *sqlx.Tx, c notice.Code) error // nil: none is sent
}

// New returns the service. It panics if the pepper is short: that is a mistake of the program, not of its user.
func New(cfg Config) *Service {
	if len(cfg.Pepper) < 32 {
		panic("account: the pepper has less than 32 bytes")
	}
	s := &Service{db: cfg.DB, pepper: cfg.Pepper, url: cfg.PublicURL, bus: cfg.Bus, now: cfg.Now, limits: cfg.Limits.withDefaults(), mail: cfg.Mail}
	if s.now == nil {
		s.now = time.Now
	}
	s.box = locked.New(s.mac("secrets of second factors"))
	return s
}

// revoked tells open connections of a user that one of their credentials may have ended.
func (s *Service) revoked(ctx context.Context, u id.User) {
	if s.bus != nil {
		s.bus.Publish(ctx, "user:"+u.String(), []byte("revoked"))
	}
}

// told tells a user's open pages that there is something to read.
func (s *Service) told(ctx context.Context, u id.User) {
	if s.bus != nil {
		s.bus.Publish(ctx, notice.Topic(u), nil)
	}
}

// Sweep deletes what has run out: sessions, invitations, addresses that nobody confirmed, counts of failed logins, places not seen for long.
// The worker calls it now and then; nothing that it deletes still has an effect.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.now()
	return sweep(ctx, s.db, now, now.Add(-s.limits.FailureWindow), now.Add(-s.limits.KnownPlace))
}

// Cursor returns where u stands in [Service.Users].
func (u *User) Cursor() string {
	key, _ := emailKey(u.Email)
	return base64.RawURLEncoding.EncodeToString([]byte(key))
}

func parseCursor(s string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) > maxEmail || !printable(string(b)) {
		return "", fault.New(fault.Invalid, "after: this is not a cursor of the list of users")
	}
	return string(b), nil
}
