package account

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// User is a person with an account, as the API shows it. What proves or opens the account is no field of it.
type User struct {
	ID             id.User
	Email          string
	Name           string
	Role           actor.Role
	Suspended      bool
	CreatedAt      time.Time
	LastLoginAt    *time.Time
	IdentityPublic []byte // X-Wing public key, 1216 bytes
}

// Cursor returns where u stands in [Service.Users].
func (u *User) Cursor() string { return cursor(u.Email) }

// UserPage is a part of the list of users, by e-mail.
type UserPage struct {
	Users      []*User
	HasNext    bool
	TotalCount int
}

// Invitation is an offer to make an account.
type Invitation struct {
	ID        id.Invitation
	Email     *string // nil: whoever joins chooses
	Name      *string
	Role      actor.Role
	ExpiresAt time.Time
}

// Session is a login of the caller's.
type Session struct {
	ID         id.Session
	Client     string
	Address    string
	CreatedAt  time.Time
	LastSeenAt time.Time
	ExpiresAt  time.Time
	Current    bool // whether the caller came with it
}

// APIToken is a lasting credential for programs of the caller's.
type APIToken struct {
	ID         id.APIToken
	Name       string
	CreatedAt  time.Time
	LastUsedAt *time.Time
	ExpiresAt  *time.Time
}

// LoginParams says how a client turns a password into keys: Argon2id 0x13, 32 bytes.
type LoginParams struct {
	Salt    []byte // 16 to 64 bytes
	Time    int    // passes
	Memory  int    // KiB
	Threads int
}

// Login is a fresh session with what opens the account's keys.
type Login struct {
	Token     string // hfs_…, shown once
	Session   *Session
	User      *User
	Bundle    []byte // sealed, under the password's key or, after LoginWithRecovery, the recovery code's
	ExpiresAt time.Time
}

// Keys are an account's keys under its password.
type Keys struct {
	Params  LoginParams
	AuthKey []byte // 32 bytes
	Bundle  []byte // sealed
}

// Recovery are an account's keys under its recovery code.
type Recovery struct {
	AuthKey []byte // 32 bytes
	Bundle  []byte // sealed
}

// LoginInput is a login by password.
type LoginInput struct {
	Email   string
	AuthKey []byte // 32 bytes
	Client  string // what the client calls itself
	Address string // where it comes from, as the server saw it
}

// RecoveryLoginInput is a login by recovery code.
type RecoveryLoginInput struct {
	Email           string
	RecoveryAuthKey []byte // 32 bytes
	Client          string
	Address         string
}

// InviteInput is whom to invite.
type InviteInput struct {
	Email string
	Name  string
	Role  actor.Role
}

// JoinInput accepts an invitation.
type JoinInput struct {
	Token          string
	Email          *string // needed if the invitation has none
	Name           string
	Keys           Keys
	Recovery       Recovery
	IdentityPublic []byte
	Client         string
	Address        string
}

// PasswordInput sets a new password.
type PasswordInput struct {
	OldAuthKey []byte // nil only in a session by recovery
	Keys       Keys
}

// RenewRecoveryInput sets a new recovery code.
type RenewRecoveryInput struct {
	AuthKey  []byte // of the password
	Recovery Recovery
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
}

// Limits are the service's times and counts. Zero fields take the defaults.
type Limits struct {
	SessionIdle time.Duration
	SessionMax  time.Duration
}

// Service is the noun account.
type Service struct{ cfg Config }

// New returns the service.
func New(cfg Config) *Service { return &Service{cfg} }

func cursor(string) string { panic("unwritten") }

func (s *Service) Authenticate(ctx context.Context, token string) (actor.Actor, error) {
	panic("unwritten")
}
func (s *Service) LoginParams(ctx context.Context, email string) (*LoginParams, error) {
	panic("unwritten")
}
func (s *Service) Login(ctx context.Context, in LoginInput) (*Login, error) { panic("unwritten") }
func (s *Service) LoginWithRecovery(ctx context.Context, in RecoveryLoginInput) (*Login, error) {
	panic("unwritten")
}
func (s *Service) Logout(ctx context.Context, a actor.Actor) error { panic("unwritten") }
func (s *Service) Invite(ctx context.Context, a actor.Actor, in InviteInput) (inv *Invitation, token, url string, err error) {
	panic("unwritten")
}
func (s *Service) Invitation(ctx context.Context, token string) (*Invitation, error) {
	panic("unwritten")
}
func (s *Service) InvitationByID(ctx context.Context, a actor.Actor, inv id.Invitation) (*Invitation, error) {
	panic("unwritten")
}
func (s *Service) Invitations(ctx context.Context, a actor.Actor) ([]*Invitation, error) {
	panic("unwritten")
}
func (s *Service) WithdrawInvitation(ctx context.Context, a actor.Actor, inv id.Invitation) error {
	panic("unwritten")
}
func (s *Service) SetupInvitation(ctx context.Context) (token, url string, needed bool, err error) {
	panic("unwritten")
}
func (s *Service) Join(ctx context.Context, in JoinInput) (*Login, error) { panic("unwritten") }
func (s *Service) ChangePassword(ctx context.Context, a actor.Actor, in PasswordInput) (*User, error) {
	panic("unwritten")
}
func (s *Service) RenewRecovery(ctx context.Context, a actor.Actor, in RenewRecoveryInput) (*User, error) {
	panic("unwritten")
}
func (s *Service) UpdateProfile(ctx context.Context, a actor.Actor, name string) (*User, error) {
	panic("unwritten")
}
func (s *Service) Sessions(ctx context.Context, a actor.Actor) ([]*Session, error) {
	panic("unwritten")
}
func (s *Service) Session(ctx context.Context, a actor.Actor, ses id.Session) (*Session, error) {
	panic("unwritten")
}
func (s *Service) EndSession(ctx context.Context, a actor.Actor, ses id.Session) error {
	panic("unwritten")
}
func (s *Service) CreateAPIToken(ctx context.Context, a actor.Actor, name string, expiresAt *time.Time) (t *APIToken, token string, err error) {
	panic("unwritten")
}
func (s *Service) APITokens(ctx context.Context, a actor.Actor) ([]*APIToken, error) {
	panic("unwritten")
}
func (s *Service) APIToken(ctx context.Context, a actor.Actor, tok id.APIToken) (*APIToken, error) {
	panic("unwritten")
}
func (s *Service) RevokeAPIToken(ctx context.Context, a actor.Actor, tok id.APIToken) error {
	panic("unwritten")
}
func (s *Service) SetRole(ctx context.Context, a actor.Actor, user id.User, role actor.Role) (*User, error) {
	panic("unwritten")
}
func (s *Service) Suspend(ctx context.Context, a actor.Actor, user id.User) (*User, error) {
	panic("unwritten")
}
func (s *Service) Resume(ctx context.Context, a actor.Actor, user id.User) (*User, error) {
	panic("unwritten")
}
func (s *Service) Me(ctx context.Context, a actor.Actor) (*User, error) { panic("unwritten") }
func (s *Service) User(ctx context.Context, a actor.Actor, user id.User) (*User, error) {
	panic("unwritten")
}
func (s *Service) Users(ctx context.Context, a actor.Actor, first int, after string) (*UserPage, error) {
	panic("unwritten")
}
func (s *Service) UserByEmail(ctx context.Context, a actor.Actor, email string) (*User, error) {
	panic("unwritten")
}
func (s *Service) UsersByID(ctx context.Context, a actor.Actor, ids []id.User) (map[id.User]*User, error) {
	panic("unwritten")
}
