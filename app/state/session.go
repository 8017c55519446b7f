package state

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Keys is the worker that holds the keys: see app/safe for its methods. The page never has a key; it has what Call returns.
type Keys interface {
	Call(ctx context.Context, method string, in, out any) error
}

// Phase is where a person stands.
type Phase int

// The phases.
const (
	Starting  Phase = iota // finding out
	LoggedOut              // nobody
	Locked                 // logged in, and the keys are not open
	Open                   // logged in, with keys
)

// Session is who uses the app. Make it with [NewSession].
type Session struct {
	Model
	api  *api.Client
	keys Keys
	v    SessionView
}

// SessionView is what pages show of a [Session].
type SessionView struct {
	Phase    Phase
	User     *api.AccountFields // nil while nobody is logged in
	Busy     bool               // a login, a join or an unlocking is under way
	Err      error              // of the last one
	Recovery string             // a recovery code that has to be kept, until it was typed back
	Offline  bool               // the server could not be reached when the app started
}

// Admin reports whether the user runs the fleet.
func (v SessionView) Admin() bool {
	return v.User != nil && (v.User.Role == api.RoleAdmin || v.User.Role == api.RoleSuperuser)
}

// Superuser reports whether the user makes administrators.
func (v SessionView) Superuser() bool { return v.User != nil && v.User.Role == api.RoleSuperuser }

// clientName is what the app calls itself in the list of sessions.
const clientName = "Holdfast in a browser"

// NewSession returns the session of this page.
func NewSession(client *api.Client, keys Keys) *Session {
	s := &Session{api: client, keys: keys}
	client.LoggedOut = s.ended
	return s
}

// View returns what to show.
func (s *Session) View() (v SessionView) {
	s.read(func() { v = s.v })
	return v
}

// Start finds out whether somebody is logged in, and whether the keys were kept open across a reload.
func (s *Session) Start() {
	go func() {
		ctx := context.Background()
		me, err := api.Me(ctx, s.api)
		switch {
		case errors.Is(err, fault.Unauthenticated):
			s.change(func() { s.v = SessionView{Phase: LoggedOut} })
			return
		case err != nil:
			s.change(func() { s.v = SessionView{Phase: LoggedOut, Offline: errors.Is(err, fault.Unavailable), Err: err} })
			return
		}
		phase := Locked
		if s.keys.Call(ctx, "resume", map[string]string{"user": me.Me.Id}, nil) == nil {
			phase = Open
		}
		s.change(func() { s.v = SessionView{Phase: phase, User: &me.Me.AccountFields} })
	}()
}

// do runs what takes a while, one at a time.
func (s *Session) do(fn func(ctx context.Context) (SessionView, error)) {
	busy := false
	s.change(func() {
		busy = s.v.Busy
		s.v.Busy = true
		if !busy {
			s.v.Err = nil
		}
	})
	if busy {
		return
	}
	go func() {
		v, err := fn(context.Background())
		s.change(func() {
			if err == nil {
				s.v = v
				return
			}
			s.v.Busy, s.v.Err = false, err
		})
	}()
}

// Login logs in and opens the keys.
func (s *Session) Login(email, password string) {
	s.do(func(ctx context.Context) (SessionView, error) { return s.login(ctx, email, password) })
}

// Unlock opens the keys of whoever is logged in.
func (s *Session) Unlock(password string) {
	email := ""
	s.read(func() {
		if s.v.User != nil {
			email = s.v.User.Email
		}
	})
	s.Login(email, password)
}

// derived is what the worker makes of a password.
type derived struct {
	AuthKey []byte `json:"authKey"`
}

func (s *Session) login(ctx context.Context, email, password string) (v SessionView, err error) {
	if email == "" || password == "" {
		return v, fault.New(fault.Invalid, "type your e-mail address and your password")
	}
	params, err := api.LoginParams(ctx, s.api, email)
	if err != nil {
		return v, err
	}
	var d derived
	p := params.LoginParams
	err = s.keys.Call(ctx, "derive", map[string]any{"password": password, "salt": p.Salt, "time": p.Time, "memory": p.Memory, "threads": p.Threads}, &d)
	if err != nil {
		return v, err
	}
	in, err := api.Login(ctx, s.api, &api.LoginInput{Email: email, AuthKey: d.AuthKey, Client: clientName, Cookie: true})
	if err != nil {
		return v, err
	}
	user := in.Login.User.AccountFields
	if err := s.keys.Call(ctx, "open", map[string]any{"bundle": in.Login.Bundle, "user": user.Id}, nil); err != nil {
		return v, err
	}
	return SessionView{Phase: Open, User: &user}, nil
}

// Lock closes the keys. The login stays.
func (s *Session) Lock() {
	s.keys.Call(context.Background(), "lock", nil, nil) //nolint:errcheck // a worker that is gone has no keys
	s.change(func() {
		if s.v.Phase == Open {
			s.v.Phase = Locked
		}
	})
}

// Logout closes the keys and ends the login.
func (s *Session) Logout() {
	s.Lock()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if _, err := api.Logout(ctx, s.api); err != nil && !errors.Is(err, fault.Unauthenticated) {
			s.change(func() { s.v.Err = err })
			return
		}
		s.change(func() { s.v = SessionView{Phase: LoggedOut} })
	}()
}

// ended is told that the server no longer knows the login.
func (s *Session) ended() {
	phase := Starting
	s.read(func() { phase = s.v.Phase })
	if phase != Open && phase != Locked {
		return
	}
	s.keys.Call(context.Background(), "lock", nil, nil) //nolint:errcheck
	s.change(func() {
		s.v = SessionView{Phase: LoggedOut, Err: fault.New(fault.Unauthenticated, "your session has ended: log in again")}
	})
}
