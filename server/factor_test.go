package server_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const loginWithCode = `mutation($input: LoginInput!) { login(input: $input) { token bundle user { secondFactor backupCodesLeft } } }`

func TestSecondFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, boss := w.person("ada", actor.Staff), w.person("boss", actor.Admin)
	begun := w.fine(ada.Token, `mutation($input: BeginSecondFactorInput!) { beginSecondFactor(input: $input) { secret uri } }`, input("authKey", b64(ada.AuthKey)))
	secret := begun["secret"].(string)
	if !strings.Contains(begun["uri"].(string), secret) {
		t.Errorf("%v", begun)
	}
	const confirm = `mutation($input: ConfirmSecondFactorInput!) { confirmSecondFactor(input: $input) { backupCodes user { secondFactor } } }`
	w.refused(w.gql(ada.Token, confirm, input("code", "000000")), fault.Invalid, "not the code")
	code, err := totp.GenerateCode(secret, time.Now())
	w.ok(err)
	done := w.fine(ada.Token, confirm, input("code", code))
	codes := done["backupCodes"].([]any)

	in := input("email", ada.Email, "authKey", b64(ada.AuthKey), "client", "test")
	r := w.gql("", loginWithCode, in)
	w.refused(r, fault.SecondFactor, "type the code")
	if strings.Contains(r.Raw, "bundle\":\"") {
		t.Error("the bundle went out before the code")
	}
	with := func(code any) map[string]any {
		return input("email", ada.Email, "authKey", b64(ada.AuthKey), "client", "test", "code", code)
	}
	w.refused(w.gql("", loginWithCode, with(code)), fault.SecondFactor, "used already")
	w.says(w.gql("", loginWithCode, with(codes[0])), `{"secondFactor":true,"backupCodesLeft":null}`, "login", "user") // the login itself is nobody's yet
	w.says(w.gql(ada.Token, `{ me { secondFactor backupCodesLeft } }`, nil), `{"secondFactor":true,"backupCodesLeft":9}`, "me")
	w.says(w.gql(ada.Token, loginWithCode, in), `true`, "login", "user", "secondFactor") // within a session of hers
	w.says(w.gql(boss.Token, `query($s: String!) { users(search: $s) { totalCount edges { node { secondFactor backupCodesLeft reset } } } }`, map[string]any{"s": strings.ToUpper(ada.Email)}),
		`{"totalCount":1,"edges":[{"node":{"secondFactor":true,"backupCodesLeft":null,"reset":false}}]}`, "users")
	w.refused(w.gql("", `mutation($input: LoginWithRecoveryInput!) { loginWithRecovery(input: $input) { token } }`, input("email", ada.Email, "recoveryAuthKey", b64(ada.Recovery), "client", "t")),
		fault.SecondFactor, "type the code")

	w.fine(ada.Token, `mutation($input: RenewBackupCodesInput!) { renewBackupCodes(input: $input) { backupCodes } }`, input("authKey", b64(ada.AuthKey), "code", codes[1]))
	w.refused(w.gql("", loginWithCode, with(codes[2])), fault.SecondFactor, "wrong")
	w.refused(w.gql(ada.Token, `mutation($input: DisableSecondFactorInput!) { disableSecondFactor(input: $input) { user { id } } }`, input("authKey", b64(ada.AuthKey), "code", codes[2])),
		fault.SecondFactor, "wrong")
	w.fine(boss.Token, `mutation($input: ResetSecondFactorInput!) { resetSecondFactor(input: $input) { user { secondFactor } } }`, input("user", ada.ID))
	w.says(w.gql("", loginWithCode, in), `false`, "login", "user", "secondFactor")
	w.says(w.gql(boss.Token, `query($e: String!) { auditEvents(kind: "second_factor", search: $e) { edges { node { kind } } } }`, map[string]any{"e": "administrator"}),
		`[{"node":{"kind":"second_factor.reset"}}]`, "auditEvents", "edges")
	w.refused(w.gql(boss.Token, `{ auditEvents(from: "2026-01-02T00:00:00Z", to: "2026-01-01T00:00:00Z") { edges { node { kind } } } }`, nil), fault.Invalid, "after from")
	if dump := w.dump(); strings.Contains(dump, secret) || strings.Contains(dump, strings.ReplaceAll(codes[5].(string), "-", "")) {
		t.Error("the database holds a secret in the open")
	}
}

// A new address is one once the code was typed that came to it by mail; the old one is told, before and after.
func TestEmailIsChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, eve := w.person("ada", actor.Staff), w.person("eve", actor.Staff)
	const change = `mutation($input: ChangeEmailInput!) { changeEmail(input: $input) { waits user { email pendingEmail } } }`
	const confirm = `mutation($input: ConfirmEmailInput!) { confirmEmail(input: $input) { user { email pendingEmail } } }`
	w.refused(w.gql(ada.Token, change, input("email", eve.Email, "authKey", b64(ada.AuthKey))), fault.Conflict, "cannot be used")
	w.refused(w.gql(ada.Token, change, input("email", "new-"+ada.Email, "authKey", b64(eve.AuthKey))), fault.WrongPassword, "wrong")
	w.says(w.gql(ada.Token, change, input("email", "new-"+ada.Email, "authKey", b64(ada.AuthKey))),
		`{"waits":true,"user":{"email":"`+ada.Email+`","pendingEmail":"new-`+ada.Email+`"}}`, "changeEmail")
	w.says(w.gql(w.person("boss", actor.Admin).Token, `query($s: String!) { users(search: $s) { edges { node { pendingEmail } } } }`, map[string]any{"s": ada.Email}),
		`[{"node":{"pendingEmail":null}}]`, "users", "edges")
	w.ok(w.notices.Post(t.Context()))
	var code string
	old := 0
	for _, m := range w.smtp.Wait(t, 2) {
		switch m.To[0] {
		case "new-" + ada.Email:
			found := regexp.MustCompile(`[A-Z2-7]{4}-[A-Z2-7]{4}`).FindString(m.Text)
			if code = found; !strings.Contains(m.Text, "/profile") {
				t.Errorf("%s", m.Text)
			}
		case ada.Email:
			if old++; !strings.Contains(m.Text, "about to be changed") || !strings.Contains(m.Text, "new-"+ada.Email) {
				t.Errorf("%s", m.Text)
			}
		}
	}
	if code == "" || old != 1 {
		t.Fatalf("code %q, %d mails to the old address", code, old)
	}
	w.refused(w.gql(ada.Token, confirm, input("code", "AAAA-AAAA")), fault.Invalid, "not the code that was mailed to new-")
	w.refused(w.gql(eve.Token, confirm, input("code", code)), fault.Conflict, "no address waits")
	w.says(w.gql(ada.Token, confirm, input("code", code)), `{"email":"new-`+ada.Email+`","pendingEmail":null}`, "confirmEmail", "user")
	w.refused(w.gql("", loginWithCode, input("email", ada.Email, "authKey", b64(ada.AuthKey), "client", "t")), fault.WrongPassword, "wrong")
	w.fine("", loginWithCode, input("email", "new-"+ada.Email, "authKey", b64(ada.AuthKey), "client", "t"))
	w.ok(w.notices.Post(t.Context()))
	after := map[string]bool{}
	for _, m := range w.smtp.Wait(t, 4)[2:] {
		after[m.To[0]] = strings.Contains(m.Text, "no longer with "+ada.Email)
	}
	if !after[ada.Email] || !after["new-"+ada.Email] {
		t.Errorf("%v", after)
	}

	w.fine(ada.Token, change, input("email", "third-"+ada.Email, "authKey", b64(ada.AuthKey)))
	w.fine(ada.Token, `mutation { cancelEmail { user { id } } }`, nil)
	w.says(w.gql(ada.Token, `{ me { pendingEmail } }`, nil), `{"pendingEmail":null}`, "me")
}

func TestAccountIsReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, boss := w.person("ada", actor.Staff), w.person("boss", actor.Admin)
	laptop := w.device(ada, "laptop")
	w.snapshot(laptop, 100)
	const reset = `mutation($input: ResetAccountInput!) { resetAccount(input: $input) { token url snapshots user { id reset } invitation { id email } } }`
	w.refused(w.gql(boss.Token, reset, input("user", ada.ID, "email", boss.Email)), fault.Invalid, "nothing was reset")
	w.refused(w.gql(boss.Token, reset, input("user", "usr_nonsense", "email", ada.Email)), fault.Invalid, "usr_")
	done := w.fine(boss.Token, reset, input("user", ada.ID, "email", ada.Email))
	if done["snapshots"] != 1.0 || at(done, "user", "reset") != true {
		t.Errorf("%v", done)
	}
	w.refused(w.gql(ada.Token, `{ me { id } }`, nil), fault.Unauthenticated, "")
	w.refused(w.gql(laptop.Token, `{ thisDevice { id } }`, nil), fault.Unauthenticated, "")
	w.refused(w.gql("", loginWithCode, input("email", ada.Email, "authKey", b64(ada.AuthKey), "client", "t")), fault.Forbidden, "was reset")
	// Taken back, she finds her snapshot in the trash.
	w.fine(boss.Token, `mutation($input: WithdrawInvitationInput!) { withdrawInvitation(input: $input) { id } }`, input("id", at(done, "invitation", "id")))
	back := w.fine("", loginWithCode, input("email", ada.Email, "authKey", b64(ada.AuthKey), "client", "t"))
	token := back["token"].(string)
	w.says(w.gql(token, `{ deletedSnapshots { files } }`, nil), `[{"files":1}]`, "deletedSnapshots")
	// Joined again, she does not: nobody can open it.
	done = w.fine(boss.Token, reset, input("user", ada.ID, "email", ada.Email))
	joined := w.fine("", `mutation($input: JoinInput!) { join(input: $input) { token user { id } } }`, input("token", done["token"], "name", "Ada", "keys", keysInput(boss),
		"recovery", recoveryInput(), "identityPublic", b64(random(1216)), "client", "test"))
	if at(joined, "user", "id") != ada.ID.String() {
		t.Errorf("%v", joined)
	}
	w.says(w.gql(joined["token"].(string), `{ deletedSnapshots { files } }`, nil), `[]`, "deletedSnapshots")
}
