package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/setting"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// demand has the operator ask a second factor of administrators.
func (w *world) demand() {
	w.t.Helper()
	on := true
	_, err := w.settings.Update(context.Background(), actor.System(), setting.Change{AdminsNeedSecondFactor: &on})
	w.ok(err)
}

// TestUnprovenAdministratorOpensNothingElse: for an administrator who lacks the second factor that is wanted every root field answers that one is missing, but for
// those few with which one is set up; and nothing changes.
func TestUnprovenAdministratorOpensNothingElse(t *testing.T) {
	t.Parallel()
	c := newCast(t)
	c.demand()
	may := map[string]bool{"Query.me": true, "Mutation.logout": true, "Mutation.changePassword": true, "Mutation.beginSecondFactor": true, "Mutation.confirmSecondFactor": true}
	s := schema(t)
	for _, r := range rows {
		root, name, _ := strings.Cut(r.field, ".")
		f := s.Types[root].Fields.ForName(name)
		if f.Directives.ForName("public") != nil || may[r.field] {
			delete(may, r.field)
			continue
		}
		want := string(fault.FactorMissing)
		if f.Directives.ForName("auth") == nil {
			want = forbidden // a device's, whoever asks
		}
		t.Run(r.name(), func(t *testing.T) {
			c.t = t
			vars := r.vars(c, admin)
			before := c.dump()
			var got *reply
			if r.call != nil {
				got = r.call(c, admin, vars)
			} else {
				got = c.gql(c.tokens[admin], r.query, vars)
			}
			if outcome := outcome(got); outcome != want {
				t.Errorf("%s, want %s\n%d %s", outcome, want, got.Status, got.Raw)
			}
			if after := c.dump(); after != before {
				t.Errorf("refused, but the database has changed:\n%s", difference(before, after))
			}
		})
	}
	if len(may) > 0 {
		t.Errorf("there is no row for %v", may)
	}
	c.t = t
	c.fine(c.ada.Token, `{ devices { id } }`, nil) // who is no administrator goes on, as do devices
	c.fine(c.laptop.Token, `{ thisDevice { id } }`, nil)
}

// An administrator who is asked for a second factor while they work comes in again with one, on every way, and is told before.
func TestSecondFactorIsDemanded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boss, chief := w.person("boss", actor.Admin), w.person("chief", actor.Superuser)
	box := w.device(boss, "box")
	_, program, err := w.accounts.CreateAPIToken(t.Context(), boss.Actor, "program", nil)
	w.ok(err)
	const demand = `mutation { updateSettings(input: {adminsNeedSecondFactor: true}) { settings { adminsNeedSecondFactor } } }`
	w.refused(w.gql(chief.Token, demand, nil), fault.Conflict, "set up a second factor of your own first")
	w.says(w.gql(chief.Token, `{ settings { adminsNeedSecondFactor } }`, nil), `false`, "settings", "adminsNeedSecondFactor")
	factor := func(p *person) {
		t.Helper()
		secret := w.fine(p.Token, `mutation($input: BeginSecondFactorInput!) { beginSecondFactor(input: $input) { secret } }`, input("authKey", b64(p.AuthKey)))["secret"].(string)
		code, err := totp.GenerateCode(secret, time.Now())
		w.ok(err)
		w.says(w.gql(p.Token, `mutation($input: ConfirmSecondFactorInput!) { confirmSecondFactor(input: $input) { user { secondFactor unproven } } }`, input("code", code)),
			`{"secondFactor":true,"unproven":false}`, "confirmSecondFactor", "user")
	}
	factor(chief)
	w.says(w.gql(chief.Token, demand, nil), `true`, "updateSettings", "settings", "adminsNeedSecondFactor")

	const sentence = "administrators of this server need a second factor"
	w.says(w.gql(boss.Token, `{ me { unproven email } }`, nil), `{"unproven":true,"email":"`+boss.Email+`"}`, "me")
	for _, token := range []string{boss.Token, program} {
		w.refused(w.gql(token, `{ settings { zone } }`, nil), fault.FactorMissing, sentence)
		w.refused(w.gql(token, `{ snapshots { totalCount } }`, nil), fault.FactorMissing, sentence)
		w.refused(w.gql(token, `{ me { devices { id } } }`, nil), fault.FactorMissing, sentence) // nor through what they may see
	}
	w.fine(box.Token, `{ thisDevice { id } }`, nil)
	login := w.fine("", `mutation($input: LoginInput!) { login(input: $input) { token user { unproven } } }`, input("email", boss.Email, "authKey", b64(boss.AuthKey), "client", "t"))
	if at(login, "user", "unproven") != true {
		t.Errorf("%v", login)
	}
	w.refused(w.gql(login["token"].(string), `mutation($input: RegisterDeviceInput!) { registerDevice(input: $input) { token } }`,
		input("name", "new", "hostname", "h", "os", "linux", "arch", "amd64", "agentVersion", "1", "publicKey", b64(random(1216)), "mac", b64(random(32)))), fault.FactorMissing, sentence)
	var told int
	w.ok(w.db.Get(&told, `SELECT count(*) FROM notifications WHERE title = 'Administrators need a second factor now' AND user_id = $1`, boss.ID))
	if told != 1 {
		t.Errorf("told %d times", told)
	}

	// A forgotten password first, then the factor: the way in stays open.
	code, err := w.accounts.LoginWithRecovery(t.Context(), account.RecoveryLoginInput{Email: boss.Email, RecoveryAuthKey: boss.Recovery, Client: "t", Address: "192.0.2.1"})
	w.ok(err)
	w.refused(w.gql(code.Token, `{ snapshots { totalCount } }`, nil), fault.FactorMissing, sentence)
	w.fine(code.Token, `mutation($input: ChangePasswordInput!) { changePassword(input: $input) { user { unproven } } }`, input("keys", keysInput(boss)))
	boss.Token = code.Token
	factor(boss)
	for _, token := range []string{boss.Token, program} {
		w.fine(token, `{ settings { zone } }`, nil)
	}

	// Who becomes an administrator is asked from then on, and who loses the factor again.
	ada := w.person("ada", actor.Staff)
	w.fine(ada.Token, `{ snapshots { totalCount } }`, nil)
	w.fine(chief.Token, `mutation($input: SetRoleInput!) { setRole(input: $input) { user { unproven } } }`, input("user", ada.ID, "role", "ADMIN"))
	w.refused(w.gql(ada.Token, `{ snapshots { totalCount } }`, nil), fault.FactorMissing, sentence)
	w.fine(chief.Token, `mutation($input: ResetSecondFactorInput!) { resetSecondFactor(input: $input) { user { secondFactor } } }`, input("user", boss.ID))
	w.refused(w.gql(boss.Token, `{ settings { zone } }`, nil), fault.FactorMissing, sentence)
	w.fine(chief.Token, `mutation { updateSettings(input: {adminsNeedSecondFactor: false}) { settings { zone } } }`, nil)
	w.fine(boss.Token, `{ settings { zone } }`, nil)
}
