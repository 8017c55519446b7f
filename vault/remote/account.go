package remote

import (
	"context"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/vault/remote/internal/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// ServerInfo is a server as anyone may see it.
type ServerInfo struct {
	Version     string
	MinProtocol int
	Protocol    int
	Time        time.Time     // by its clock
	Skew        time.Duration // its clock minus ours, to within half a round trip
	Fingerprint string        // of its local certificate authority, "" if it has none
	RoundTrip   time.Duration
}

// MaxSkew is how far two clocks may be apart before somebody should be told. Backups do not depend on the
// device's clock; certificates and the times in listings do.
const MaxSkew = 5 * time.Minute

// Server asks what answers at the address. That it is no Holdfast server, or one with which this agent
// cannot speak, is an error that says so.
func (c *Client) Server(ctx context.Context) (*ServerInfo, error) {
	before := time.Now()
	r, err := api.Server(ctx, c.gql(always))
	if err != nil {
		return nil, err
	}
	after := time.Now()
	s := r.Server
	if s.Product != "holdfast" {
		return nil, fault.New(fault.Invalid, "what answers at %s is %q, not a Holdfast server: check the address", c.base, clip(s.Product))
	}
	if proto.Protocol < s.MinProtocol {
		return nil, fault.New(fault.ClientTooOld, "this agent (%s) is too old for %s (%s): install a newer one, for example from %s/download/agent/",
			proto.Version, c.base.Host, s.Version, c.base)
	}
	if s.Protocol < proto.MinProtocol {
		return nil, fault.New(fault.ClientTooOld, "%s (%s) is too old for this agent (%s): its administrator should bring it up to date", c.base.Host, s.Version, proto.Version)
	}
	trip := after.Sub(before)
	info := &ServerInfo{Version: s.Version, MinProtocol: s.MinProtocol, Protocol: s.Protocol, Time: s.Time, RoundTrip: trip,
		Skew: s.Time.Sub(before.Add(trip / 2)), Fingerprint: deref(s.Fingerprint)}
	if f, err := ParseFingerprint(info.Fingerprint); err == nil {
		info.Fingerprint = f
	}
	return info, nil
}

// LoginParams says how an account's password becomes keys. The caller checks them: a hostile server could
// ask for weak ones.
type LoginParams struct {
	Salt                     []byte
	Time, MemoryKiB, Threads int
}

// LoginParams asks for an account's parameters. An account that does not exist has some, too.
func (c *Client) LoginParams(ctx context.Context, email string) (LoginParams, error) {
	r, err := api.LoginParams(ctx, c.gql(always), email)
	if err != nil {
		return LoginParams{}, err
	}
	p := r.LoginParams
	return LoginParams{Salt: p.Salt, Time: p.Time, MemoryKiB: p.Memory, Threads: p.Threads}, nil
}

// User is the person whom a login belongs to.
type User struct {
	ID, Email, Name string
	Role            string // STAFF, ADMIN, SUPERUSER
	IdentityPublic  []byte
}

// Login is a session that was just begun.
type Login struct {
	Token     string
	ExpiresAt time.Time
	User      User
	Bundle    []byte // the sealed account bundle
}

// Invitation is what an invitation offers.
type Invitation struct {
	Email, Name string // Email is "" if whoever joins chooses it
	Role        string
	ExpiresAt   time.Time
}

// Invitation reads what the token of an invitation offers.
func (c *Client) Invitation(ctx context.Context, token string) (Invitation, error) {
	r, err := api.Invitation(ctx, c.gql(always), token)
	if err != nil {
		return Invitation{}, err
	}
	i := r.Invitation
	return Invitation{Email: deref(i.Email), Name: deref(i.Name), Role: string(i.Role), ExpiresAt: i.ExpiresAt}, nil
}

// Keys is one of the two sealed copies of an account bundle, and what proves the right to fetch it.
type Keys struct {
	AuthKey [32]byte
	Bundle  []byte
}

// JoinInput is an account that a client made.
type JoinInput struct {
	Token       string // of the invitation
	Email, Name string // Email "": as the invitation says
	Params      LoginParams
	Password    Keys
	Recovery    Keys
	Identity    []byte // public
}

// Join accepts an invitation.
func (c *Client) Join(ctx context.Context, in JoinInput) (*Login, error) {
	input := api.JoinInput{
		Token: in.Token, Name: in.Name, IdentityPublic: in.Identity, Client: c.opts.UserAgent,
		Keys:     passwordKeys(in.Params, in.Password),
		Recovery: api.RecoveryKeysInput{AuthKey: in.Recovery.AuthKey[:], Bundle: in.Recovery.Bundle},
	}
	if in.Email != "" {
		input.Email = &in.Email
	}
	r, err := api.Join(ctx, c.gql(ifUnsent), input)
	if err != nil {
		return nil, err
	}
	p := r.Join
	return login(p.Token, p.ExpiresAt, p.User, p.Bundle)
}

// Login begins a session with the key derived from a password. code is that of the second factor, or a backup code; without one, an account that
// has a second factor fails with fault.SecondFactor.
func (c *Client) Login(ctx context.Context, email string, authKey [32]byte, code string) (*Login, error) {
	in := api.LoginInput{Email: email, AuthKey: authKey[:], Client: c.opts.UserAgent}
	repeat := always
	if code != "" {
		in.Code, repeat = &code, ifUnsent // it serves once
	}
	r, err := api.Login(ctx, c.gql(repeat), in)
	if err != nil {
		return nil, err
	}
	p := r.Login
	return login(p.Token, p.ExpiresAt, p.User, p.Bundle)
}

// LoginWithRecovery begins a session with the key derived from a recovery code; its bundle is the one that
// the recovery code opens. code is as in Login.
func (c *Client) LoginWithRecovery(ctx context.Context, email string, authKey [32]byte, code string) (*Login, error) {
	in := api.LoginWithRecoveryInput{Email: email, RecoveryAuthKey: authKey[:], Client: c.opts.UserAgent}
	repeat := always
	if code != "" {
		in.Code, repeat = &code, ifUnsent
	}
	r, err := api.LoginWithRecovery(ctx, c.gql(repeat), in)
	if err != nil {
		return nil, err
	}
	p := r.LoginWithRecovery
	return login(p.Token, p.ExpiresAt, p.User, p.Bundle)
}

func login(token *string, expires time.Time, u api.UserFields, bundle []byte) (*Login, error) {
	if deref(token) == "" || !strings.HasPrefix(*token, proto.TokenSession) {
		return nil, fault.New(fault.Internal, "the server gave no session")
	}
	return &Login{Token: *token, ExpiresAt: expires, Bundle: bundle,
		User: User{ID: u.Id, Email: u.Email, Name: u.Name, Role: string(u.Role), IdentityPublic: u.IdentityPublic}}, nil
}

// Logout ends the client's session.
func (c *Client) Logout(ctx context.Context) error {
	_, err := api.Logout(ctx, c.gql(never))
	return err
}

// ChangePassword replaces the password's copy of the bundle. old is nil in a session from LoginWithRecovery.
// All other sessions of the account end.
func (c *Client) ChangePassword(ctx context.Context, old *[32]byte, p LoginParams, k Keys) error {
	in := api.ChangePasswordInput{Keys: passwordKeys(p, k)}
	if old != nil {
		b := old[:]
		in.OldAuthKey = &b
	}
	_, err := api.ChangePassword(ctx, c.gql(ifUnsent), in)
	return err
}

// RenewRecovery replaces the recovery code's copy of the bundle. authKey is the password's.
func (c *Client) RenewRecovery(ctx context.Context, authKey [32]byte, k Keys) error {
	_, err := api.RenewRecovery(ctx, c.gql(always), api.RenewRecoveryInput{
		AuthKey: authKey[:], Recovery: api.RecoveryKeysInput{AuthKey: k.AuthKey[:], Bundle: k.Bundle}})
	return err
}

func passwordKeys(p LoginParams, k Keys) api.AccountKeysInput {
	return api.AccountKeysInput{
		Params:  api.LoginParamsInput{Salt: p.Salt, Time: p.Time, Memory: p.MemoryKiB, Threads: p.Threads},
		AuthKey: k.AuthKey[:], Bundle: k.Bundle,
	}
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
