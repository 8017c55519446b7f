package account_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// world is a service on a database of its own, with a clock that tests turn.
type world struct {
	*account.Service
	t     *testing.T
	db    *sqlx.DB
	bus   *recorder
	clock *clock
	codes []notice.Code // that were mailed, if mail is sent
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// recorder is a bus that remembers.
type recorder struct {
	mu     sync.Mutex
	topics []string
}

func (r *recorder) Publish(_ context.Context, topic string, _ []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.topics = append(r.topics, topic)
}

func (r *recorder) heard(topic string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.topics {
		if t == topic {
			return true
		}
	}
	return false
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: pgtest.New(t), bus: &recorder{}, clock: &clock{now: time.Now().Truncate(time.Microsecond)}}
	w.Service = w.another()
	return w
}

// another returns a second service on the same database, as on another server.
func (w *world) another() *account.Service {
	return account.New(account.Config{
		DB: w.db, Pepper: bytes.Repeat([]byte("pepper"), 8), PublicURL: "https://vault.example.org", Bus: w.bus, Now: w.clock.Now,
	})
}

// mails makes the service one that sends mail.
func (w *world) mails() {
	w.Service = account.New(account.Config{
		DB: w.db, Pepper: bytes.Repeat([]byte("pepper"), 8), PublicURL: "https://vault.example.org", Bus: w.bus, Now: w.clock.Now,
		Mail: func(_ context.Context, _ *sqlx.Tx, c notice.Code) error {
			w.codes = append(w.codes, c)
			return nil
		},
	})
}

// authKey stands for what a client derives from a password.
func authKey(password string) []byte {
	h := sha256.Sum256([]byte(password))
	return h[:]
}

func keys(password string) account.Keys {
	salt := sha256.Sum256([]byte("salt of " + password))
	return account.Keys{
		Params:  account.LoginParams{Salt: salt[:16], Time: 3, Memory: 64 << 10, Threads: 4},
		AuthKey: authKey(password),
		Bundle:  []byte("a bundle of secret keys, sealed under " + password),
	}
}

func recovery(code string) account.Recovery {
	return account.Recovery{AuthKey: authKey(code), Bundle: []byte("a bundle of secret keys, sealed under code " + code)}
}

func joinInput(token, name, password string) account.JoinInput {
	return account.JoinInput{
		Token: token, Name: name, Keys: keys(password), Recovery: recovery("code of " + name),
		IdentityPublic: bytes.Repeat([]byte{7}, 1216), Client: "test", Address: "192.0.2.1:5555",
	}
}

// person makes a user with the password "pw" and returns them logged in.
func (w *world) person(name string, role actor.Role) actor.Actor {
	w.t.Helper()
	_, token, _, err := w.Invite(w.t.Context(), actor.System(), account.InviteInput{Email: name + "@example.org", Name: name, Role: role})
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := w.Join(w.t.Context(), joinInput(token, name, "pw"))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.who(l.Token)
}

func (w *world) who(token string) actor.Actor {
	w.t.Helper()
	a, err := w.Authenticate(w.t.Context(), token)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) login(name, password, address string) (*account.Login, error) {
	return w.Login(w.t.Context(), account.LoginInput{Email: name + "@example.org", AuthKey: authKey(password), Client: "test", Address: address})
}

func (w *world) want(err error, kind fault.Kind) {
	w.t.Helper()
	if err == nil {
		w.t.Fatalf("no error, want %s", kind)
	}
	if got := fault.KindOf(err); got != kind {
		w.t.Fatalf("%s (%v), want %s", got, err, kind)
	}
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// audited counts the lines of the log of one kind.
func (w *world) audited(kind string) int {
	w.t.Helper()
	page, err := audit.List(w.t.Context(), w.db, actor.System(), audit.MaxPage, "")
	w.ok(err)
	n := 0
	for _, e := range page.Entries {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func TestFirstSuperuser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, _, needed, err := w.SetupInvitation(t.Context())
	w.ok(err)
	if !needed {
		t.Fatal("no set-up needed on an empty database")
	}
	token, url, needed, err := w.SetupInvitation(t.Context())
	w.ok(err)
	if !needed || url != "https://vault.example.org/setup#"+token {
		t.Fatalf("%v, %q", needed, url)
	}
	_, err = w.Invitation(t.Context(), old)
	w.want(err, fault.NotFound) // only the newest works
	inv, err := w.Invitation(t.Context(), token)
	w.ok(err)
	if inv.Email != nil || inv.Role != actor.Superuser {
		t.Errorf("%+v", inv)
	}
	in := joinInput(token, "Root", "pw")
	_, err = w.Join(t.Context(), in)
	w.want(err, fault.Invalid) // no e-mail
	email := " Root@Example.ORG "
	in.Email = &email
	l, err := w.Join(t.Context(), in)
	w.ok(err)
	if l.User.Email != "Root@Example.ORG" || l.User.Role != actor.Superuser || string(l.Bundle) != string(in.Keys.Bundle) {
		t.Errorf("%+v", l)
	}
	_, err = w.Join(t.Context(), in)
	w.want(err, fault.NotFound) // once
	if _, _, needed, err = w.SetupInvitation(t.Context()); err != nil || needed {
		t.Errorf("%v, %v", needed, err)
	}
	u, err := w.UserByEmail(t.Context(), actor.System(), "ROOT@example.org")
	w.ok(err)
	if u.ID != l.User.ID {
		t.Error("not the same user")
	}
}

// Whoever holds a second set-up link comes too late.
func TestOneSetupWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, _, _, err := w.SetupInvitation(t.Context())
	w.ok(err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 8 {
		wg.Go(func() {
			in := joinInput(token, fmt.Sprint("root", i), "pw")
			email := fmt.Sprintf("root%d@example.org", i)
			in.Email = &email
			if _, err := w.Join(t.Context(), in); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			} else if fault.KindOf(err) != fault.NotFound {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d superusers from one invitation", won)
	}
}

func TestWhoMayInvite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	super, admin, staff := w.person("super", actor.Superuser), w.person("admin", actor.Admin), w.person("staff", actor.Staff)
	const ok = fault.Kind("")
	n := 0
	for _, c := range []struct {
		a    actor.Actor
		role actor.Role
		want fault.Kind
	}{
		{actor.Actor{}, actor.Staff, fault.Unauthenticated},
		{staff, actor.Staff, fault.Forbidden},
		{admin, actor.Staff, ok}, {admin, actor.Admin, fault.Forbidden}, {admin, actor.Superuser, fault.Forbidden},
		{super, actor.Staff, ok}, {super, actor.Admin, ok}, {super, actor.Superuser, ok},
		{actor.System(), actor.Superuser, ok}, {super, "owner", fault.Invalid},
	} {
		n++
		_, _, _, err := w.Invite(t.Context(), c.a, account.InviteInput{Email: fmt.Sprintf("new%d@example.org", n), Name: "New", Role: c.role})
		got := ok
		if err != nil {
			got = fault.KindOf(err)
		}
		if got != c.want {
			t.Errorf("%s invites %s: %q, want %q", c.a.Role, c.role, got, c.want)
		}
	}
	_, _, _, err := w.Invite(t.Context(), admin, account.InviteInput{Email: "STAFF@example.org", Name: "Again", Role: actor.Staff})
	w.want(err, fault.Conflict)
	_, err = w.Invitations(t.Context(), staff)
	w.want(err, fault.Forbidden)
	list, err := w.Invitations(t.Context(), admin)
	w.ok(err)
	if len(list) != 5 || *list[0].Email != "new9@example.org" {
		t.Errorf("%d invitations", len(list))
	}
}

func TestInvitationIsReplacedAndWithdrawn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	super, admin := w.person("super", actor.Superuser), w.person("admin", actor.Admin)
	_, first, _, err := w.Invite(t.Context(), super, account.InviteInput{Email: "Ann@example.org", Name: "Ann", Role: actor.Staff})
	w.ok(err)
	inv, second, url, err := w.Invite(t.Context(), super, account.InviteInput{Email: "ann@example.org", Name: "Ann", Role: actor.Admin})
	w.ok(err)
	if url != "https://vault.example.org/join#"+second {
		t.Error(url)
	}
	_, err = w.Invitation(t.Context(), first)
	w.want(err, fault.NotFound)
	// An administrator can neither replace nor withdraw what only a superuser may give.
	_, _, _, err = w.Invite(t.Context(), admin, account.InviteInput{Email: "ann@example.org", Name: "Ann", Role: actor.Staff})
	w.want(err, fault.Conflict)
	w.want(w.WithdrawInvitation(t.Context(), admin, inv.ID), fault.Forbidden)
	w.ok(w.WithdrawInvitation(t.Context(), super, inv.ID))
	w.want(w.WithdrawInvitation(t.Context(), super, inv.ID), fault.NotFound)
	_, err = w.Join(t.Context(), joinInput(second, "Ann", "pw"))
	w.want(err, fault.NotFound)

	inv, third, _, err := w.Invite(t.Context(), admin, account.InviteInput{Email: "ann@example.org", Name: "Ann", Role: actor.Staff})
	w.ok(err)
	got, err := w.InvitationByID(t.Context(), admin, inv.ID)
	w.ok(err)
	if *got.Email != "ann@example.org" {
		t.Error(*got.Email)
	}
	w.clock.pass(7*24*time.Hour - time.Second)
	_, err = w.Invitation(t.Context(), third)
	w.ok(err)
	other := "eve@example.org"
	in := joinInput(third, "Ann", "pw")
	in.Email = &other
	_, err = w.Join(t.Context(), in)
	w.want(err, fault.Invalid)
	w.clock.pass(2 * time.Second)
	for _, token := range []string{third, "hfi_", "", "hfi_" + strings.Repeat("A", 43), first} {
		_, err = w.Invitation(t.Context(), token)
		w.want(err, fault.NotFound)
		_, err = w.Join(t.Context(), joinInput(token, "Ann", "pw"))
		w.want(err, fault.NotFound)
	}
}

func TestJoinChecksEveryField(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, token, _, err := w.Invite(t.Context(), actor.System(), account.InviteInput{Email: "ann@example.org", Name: "Ann", Role: actor.Staff})
	w.ok(err)
	for name, spoil := range map[string]func(*account.JoinInput){
		"no name":            func(in *account.JoinInput) { in.Name = " \t" },
		"long name":          func(in *account.JoinInput) { in.Name = strings.Repeat("é", 201) },
		"enormous name":      func(in *account.JoinInput) { in.Name = strings.Repeat("x", 1<<20) },
		"name not text":      func(in *account.JoinInput) { in.Name = "\xff" },
		"name with a bell":   func(in *account.JoinInput) { in.Name = "Ann\a" },
		"name turned round":  func(in *account.JoinInput) { in.Name = "Ann\u202ennA" },
		"bad e-mail":         func(in *account.JoinInput) { s := "ann"; in.Email = &s },
		"short salt":         func(in *account.JoinInput) { in.Keys.Params.Salt = make([]byte, 15) },
		"long salt":          func(in *account.JoinInput) { in.Keys.Params.Salt = make([]byte, 65) },
		"no passes":          func(in *account.JoinInput) { in.Keys.Params.Time = 0 },
		"negative passes":    func(in *account.JoinInput) { in.Keys.Params.Time = -1 },
		"many passes":        func(in *account.JoinInput) { in.Keys.Params.Time = 1 << 20 },
		"little memory":      func(in *account.JoinInput) { in.Keys.Params.Memory = 19<<10 - 1 },
		"much memory":        func(in *account.JoinInput) { in.Keys.Params.Memory = 1 << 30 },
		"much work":          func(in *account.JoinInput) { in.Keys.Params.Time, in.Keys.Params.Memory = 16, 1<<20 },
		"no threads":         func(in *account.JoinInput) { in.Keys.Params.Threads = 0 },
		"many threads":       func(in *account.JoinInput) { in.Keys.Params.Threads = 256 },
		"short auth key":     func(in *account.JoinInput) { in.Keys.AuthKey = in.Keys.AuthKey[:31] },
		"no auth key":        func(in *account.JoinInput) { in.Keys.AuthKey = nil },
		"long auth key":      func(in *account.JoinInput) { in.Keys.AuthKey = make([]byte, 33) },
		"empty bundle":       func(in *account.JoinInput) { in.Keys.Bundle = nil },
		"large bundle":       func(in *account.JoinInput) { in.Keys.Bundle = make([]byte, 4<<10+1) },
		"short recovery key": func(in *account.JoinInput) { in.Recovery.AuthKey = nil },
		"no recovery bundle": func(in *account.JoinInput) { in.Recovery.Bundle = nil },
		"short identity":     func(in *account.JoinInput) { in.IdentityPublic = in.IdentityPublic[:1215] },
		"long identity":      func(in *account.JoinInput) { in.IdentityPublic = make([]byte, 1217) },
	} {
		in := joinInput(token, "Ann", "pw")
		spoil(&in)
		if _, err := w.Join(t.Context(), in); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = w.Join(t.Context(), joinInput(token, "Ann", "pw")) // none of them used the invitation up
	w.ok(err)
}

func TestProfile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.person("ann", actor.Staff)
	u, err := w.UpdateProfile(t.Context(), ann, "  Ann  Ünal ")
	w.ok(err)
	if u.Name != "Ann  Ünal" {
		t.Errorf("%q", u.Name)
	}
	_, err = w.UpdateProfile(t.Context(), ann, "")
	w.want(err, fault.Invalid)
	_, err = w.UpdateProfile(t.Context(), actor.Actor{}, "x")
	w.want(err, fault.Unauthenticated)
	me, err := w.Me(t.Context(), ann)
	w.ok(err)
	if me.Name != "Ann  Ünal" || me.LastLoginAt == nil || !bytes.Equal(me.IdentityPublic, bytes.Repeat([]byte{7}, 1216)) {
		t.Errorf("%+v", me)
	}
}
