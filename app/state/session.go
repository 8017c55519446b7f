package state

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
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

	// Entered is called after every login and every change of role; may be nil. What still stands for who it was before ends here.
	Entered func()
}

// SessionView is what pages show of a [Session].
type SessionView struct {
	Phase  Phase
	User   *api.AccountFields // nil while nobody is logged in
	Busy   bool               // a login, a join or an unlocking is under way
	Err    error              // of the last one
	Joined bool               // the account was made on this page

	// CodeAsked says that the password was right, and that the account wants a code of its second factor with it.
	CodeAsked bool
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
	client.LoggedOut, client.Unproven = s.ended, s.unproven
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
			s.change(func() { s.v = SessionView{Phase: LoggedOut, Err: err} })
			return
		}
		phase := Locked
		if s.keys.Call(ctx, talk.MethodResume, talk.Resume{User: me.Me.Id}, nil) == nil {
			phase = Open
		}
		s.set(SessionView{Phase: phase, User: &me.Me.AccountFields})
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
		if err != nil {
			s.change(func() {
				s.v.Busy = false
				s.v.CodeAsked, s.v.Err = codeStep(s.v.CodeAsked, err)
			})
			return
		}
		s.set(v)
	}()
}

// codeStep says whether a code is asked for after a login that failed, and what to show of the failure. asked: one was asked for before. That a code
// is asked for is the next step and no mistake.
func codeStep(asked bool, err error) (bool, error) {
	switch {
	case errors.Is(err, fault.SecondFactor) && !asked:
		return true, nil
	case errors.Is(err, fault.WrongPassword):
		return false, err
	}
	return asked, err
}

// ForgetCode goes back from the code to the password.
func (s *Session) ForgetCode() { s.change(func() { s.v.CodeAsked, s.v.Err = false, nil }) }

// Login logs in and opens the keys. code is that of the second factor, "" until a View asks for it.
func (s *Session) Login(email, password, code string) {
	s.do(func(ctx context.Context) (SessionView, error) { return s.login(ctx, email, password, code) })
}

// Unlock opens the keys of whoever is logged in. The server hands them out at a login only, so it is one, and ends the one before. As long as that
// one stands the server asks for no code.
func (s *Session) Unlock(password, code string) {
	s.do(func(ctx context.Context) (SessionView, error) {
		u := s.View().User
		if u == nil {
			return SessionView{}, fault.New(fault.Conflict, "nobody is logged in: reload the page")
		}
		old := s.current(ctx)
		v, err := s.login(ctx, u.Email, password, code)
		if err == nil && old != "" {
			api.EndSession(ctx, s.api, &api.EndSessionInput{Id: old}) //nolint:errcheck // it stays in the list of sessions, and ends by itself
		}
		return v, err
	})
}

// current returns the id of the login that the browser has, or "".
func (s *Session) current(ctx context.Context) string {
	got, err := api.Access(ctx, s.api)
	if err != nil {
		return ""
	}
	for _, l := range got.Me.Sessions {
		if l.Current {
			return l.Id
		}
	}
	return ""
}

func (s *Session) login(ctx context.Context, email, password, code string) (v SessionView, err error) {
	if email == "" || password == "" {
		return v, fault.New(fault.Invalid, "type your e-mail address and your password")
	}
	proof, err := prove(ctx, s.api, s.keys, email, password)
	if err != nil {
		return v, err
	}
	in, err := api.Login(ctx, s.api, &api.LoginInput{Email: email, AuthKey: proof, Code: filled(code), Client: clientName, Cookie: true})
	if err != nil {
		return v, err
	}
	u := in.Login.User
	if err := s.open(ctx, &u.AccountFields, in.Login.Bundle, u.IdentityPublic); err != nil {
		return v, err
	}
	return SessionView{Phase: Open, User: &u.AccountFields}, nil
}

// open opens the bundle of a user with what the worker derived last.
func (s *Session) open(ctx context.Context, u *api.AccountFields, bundle, identity []byte) error {
	return s.keys.Call(ctx, talk.MethodOpen, talk.Open{Bundle: bundle, User: u.Id, IdentityPublic: identity}, nil)
}

// enter takes in somebody whose login and keys stand.
func (s *Session) enter(u *api.AccountFields, joined bool) {
	s.set(SessionView{Phase: Open, User: u, Joined: joined})
}

// set takes in what came of a start or a login.
func (s *Session) set(v SessionView) {
	before := Starting
	s.change(func() { before, s.v = s.v.Phase, v })
	if v.Phase != Open {
		return
	}
	if (before == LoggedOut || before == Locked) && s.Entered != nil {
		s.Entered()
	}
	go s.watch(v.User.Id)
}

// watch waits until the keys of a user are closed, by whomever: this page, another tab, or the worker's end.
func (s *Session) watch(user string) {
	if s.keys.Call(context.Background(), talk.MethodLocked, nil, nil) != nil {
		return // a worker that has ended: whoever calls it hears of that
	}
	s.change(func() {
		if s.v.Phase == Open && s.v.User.Id == user {
			s.v.Phase = Locked
		}
	})
}

// Told takes in that the person was told something, by its kind: what may change who they are is read again, so that the menu of a new
// administrator is there at once.
func (s *Session) Told(kind string) {
	switch kind {
	case "account.role", "account.email", "account.second_factor":
	default:
		return
	}
	go s.again()
}

// again reads who the person is.
func (s *Session) again() {
	me, err := api.Me(context.Background(), s.api)
	if err != nil {
		return // what is shown was right a moment ago, and the next request says what is wrong
	}
	before := s.View().User
	s.renamed(&me.Me.AccountFields)
	if before != nil && (before.Role != me.Me.Role || before.Unproven != me.Me.Unproven) && s.Entered != nil {
		s.Entered()
	}
}

// unproven is told that the account lacks a second factor that is wanted of it: the user of a later View says so, too.
func (s *Session) unproven() {
	if u := s.View().User; u != nil && !u.Unproven {
		go s.again()
	}
}

// renamed takes in that the user's name, address, role or second factor is another.
func (s *Session) renamed(u *api.AccountFields) {
	s.change(func() {
		if s.v.User != nil && s.v.User.Id == u.Id {
			s.v.User = u
		}
	})
}

// Lock closes the keys. The login stays.
func (s *Session) Lock() {
	was := false
	s.change(func() {
		if was = s.v.Phase == Open; was {
			s.v.Phase = Locked
		}
	})
	if was {
		go s.drop()
	}
}

// drop has the worker forget the keys. One that is gone has none.
func (s *Session) drop() {
	s.keys.Call(context.Background(), talk.MethodLock, nil, nil) //nolint:errcheck // as above
}

// Logout closes the keys and ends the login.
func (s *Session) Logout() {
	s.Lock()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s.drop()
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
	s.change(func() {
		s.v = SessionView{Phase: LoggedOut, Err: fault.New(fault.Unauthenticated, "your session has ended: log in again")}
	})
	s.drop()
}
