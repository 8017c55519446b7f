package server_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The callers of the table. All operations aim at what belongs to the owner, ada.
const (
	nobody    = "nobody"
	other     = "other user"
	otherDev  = "other user's device"
	ownDev    = "own device"
	admin     = "admin"
	suspended = "suspended user"
	revoked   = "revoked device"
	recovery  = "recovery session"
	owner     = "owner"
	apiToken  = "owner's API token"
	super     = "superuser"
)

var callers = []string{nobody, suspended, revoked, other, otherDev, recovery, ownDev, admin, owner, apiToken, super}

// The outcomes, besides an error code.
const (
	allowed = "ok"   // data, and no error
	null    = "null" // no data, and no error: as if it did not exist
)

// cast is a world with everybody in it.
type cast struct {
	*world
	ada, mallory, boss, root, sue *person
	laptop, malloryBox, lost      *device
	tokens                        map[string]string
}

func newCast(t *testing.T) *cast {
	w := newWorld(t)
	ctx := context.Background()
	c := &cast{world: w}
	c.ada, c.mallory = w.person("ada", actor.Staff), w.person("mallory", actor.Staff)
	c.boss, c.root, c.sue = w.person("boss", actor.Admin), w.person("root", actor.Superuser), w.person("sue", actor.Staff)
	c.laptop, c.malloryBox, c.lost = w.device(c.ada, "laptop"), w.device(c.mallory, "box"), w.device(c.ada, "lost")
	_, err := w.fleet.Revoke(ctx, c.ada.Actor, c.lost.ID)
	w.ok(err)
	_, err = w.accounts.Suspend(ctx, c.root.Actor, c.sue.ID)
	w.ok(err)
	byCode, err := w.accounts.LoginWithRecovery(ctx, account.RecoveryLoginInput{Email: c.ada.Email, RecoveryAuthKey: c.ada.Recovery, Client: "test", Address: "192.0.2.1"})
	w.ok(err)
	_, program, err := w.accounts.CreateAPIToken(ctx, c.ada.Actor, "program", nil)
	w.ok(err)
	c.tokens = map[string]string{
		nobody: "", other: c.mallory.Token, otherDev: c.malloryBox.Token, ownDev: c.laptop.Token, admin: c.boss.Token,
		suspended: c.sue.Token, revoked: c.lost.Token, recovery: byCode.Token, owner: c.ada.Token, apiToken: program, super: c.root.Token,
	}
	return c
}

// begun is the owner's running backup session. It begins one if there is none.
func (c *cast) begun() *catalog.Begun { return c.session(c.laptop) }

func input(kv ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i].(string)] = kv[i+1]
	}
	return map[string]any{"input": m}
}

func keysInput(p *person) map[string]any {
	return map[string]any{"params": map[string]any{"salt": b64(random(16)), "time": 3, "memory": 64 << 10, "threads": 4}, "authKey": b64(p.AuthKey), "bundle": b64(random(100))}
}

func recoveryInput() map[string]any {
	return map[string]any{"authKey": b64(random(32)), "bundle": b64(random(100))}
}

func progressInput(b *catalog.Begun) map[string]any {
	return input("backup", b.ID, "fence", b.Fence, "phase", "upload", "files", 1, "bytes", 1, "totalFiles", 1, "totalBytes", 1, "uploadedBytes", 1, "problems", 0)
}

// row is an operation of the table. vars is asked before each call, and may make what the call is about.
type row struct {
	field  string // as in the schema: Query.me
	query  string
	vars   func(c *cast, caller string) map[string]any
	expect map[string]string // by caller; see fill
	call   func(c *cast, caller string, vars map[string]any) *reply
}

const (
	unauth    = string(fault.Unauthenticated)
	forbidden = string(fault.Forbidden)
	missing   = string(fault.NotFound)
	invalid   = string(fault.Invalid)
)

// fill writes out an expectation: gate says who passes the directive, the rest is spelled out.
func fill(rest map[string]string, gate string) map[string]string {
	out := map[string]string{nobody: unauth, suspended: unauth, revoked: unauth}
	set := func(v string, who ...string) {
		for _, w := range who {
			out[w] = v
		}
	}
	switch gate {
	case "public":
		set(allowed, callers...)
	case "person":
		set(forbidden, ownDev, otherDev, recovery)
		set(allowed, owner, apiToken, other, admin, super)
	case "reader": // what the recovery code opens, too
		set(forbidden, ownDev, otherDev)
		set(allowed, owner, apiToken, other, admin, super, recovery)
	case "admin":
		set(forbidden, ownDev, otherDev, recovery, owner, apiToken, other)
		set(allowed, admin, super)
	case "superuser":
		set(forbidden, ownDev, otherDev, recovery, owner, apiToken, other, admin)
		set(allowed, super)
	case "device":
		set(forbidden, owner, apiToken, other, admin, super, recovery)
		set(allowed, ownDev, otherDev)
	}
	for who, v := range rest {
		out[who] = v
	}
	return out
}

func same(v string, who ...string) map[string]string {
	m := map[string]string{}
	for _, w := range who {
		m[w] = v
	}
	return m
}

func merge(ms ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range ms {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

func noVars(*cast, string) map[string]any { return nil }

var rows = []row{
	{"Query.server", `{ server { product } }`, noVars, fill(nil, "public"), nil},
	{"Query.loginParams", `query($e: String!) { loginParams(email: $e) { salt } }`, func(c *cast, _ string) map[string]any {
		return map[string]any{"e": c.ada.Email}
	}, fill(nil, "public"), nil},
	{"Query.invitation", `query($t: String!) { invitation(token: $t) { email role } }`, func(c *cast, _ string) map[string]any {
		_, token, _, err := c.accounts.Invite(context.Background(), actor.System(), account.InviteInput{Email: "new@example.org", Name: "n", Role: actor.Staff})
		c.ok(err)
		return map[string]any{"t": token}
	}, fill(nil, "public"), nil},
	{"Query.enrolment", `query($t: String!) { enrolment(token: $t) { sealed email } }`, func(c *cast, _ string) map[string]any {
		return map[string]any{"t": c.enrolment()}
	}, fill(nil, "public"), nil},
	{"Query.me", `{ me { id email } }`, noVars, fill(same(allowed, recovery), "person"), nil},
	{"Query.users", `{ users { edges { node { id email } } } }`, noVars, fill(nil, "admin"), nil},
	{"Query.invitations", `{ invitations { id email } }`, noVars, fill(nil, "admin"), nil},
	{"Query.auditEvents", `{ auditEvents { edges { node { text } } } }`, noVars, fill(nil, "person"), nil},
	{"Query.thisDevice", `{ thisDevice { id name } }`, noVars, fill(nil, "device"), nil},
	{"Query.devices", `{ devices { id } }`, noVars, fill(nil, "reader"), nil},
	{"Query.backup", `query($id: ID!) { backup(id: $id) { id state device { id } } }`, func(c *cast, _ string) map[string]any {
		return map[string]any{"id": c.begun().ID}
	}, fill(same(null, other), "person"), nil},
	{"Query.snapshots", `query($d: ID!) { snapshots(device: $d) { edges { node { id } } } }`, func(c *cast, _ string) map[string]any {
		c.snapshot(c.laptop, 100)
		return map[string]any{"d": c.laptop.ID}
	}, fill(same("empty", other, admin, super), "reader"), nil},
	{"Query.snapshot", `query($id: ID!) { snapshot(id: $id) { id manifest } }`, func(c *cast, _ string) map[string]any {
		s, _, _ := c.snapshot(c.laptop, 100)
		return map[string]any{"id": s.ID}
	}, fill(same(null, other, admin, super), "reader"), nil},
	{"Query.objectLocations", `query($input: ObjectLocationsInput!) { objectLocations(input: $input) { table packs { name url } } }`, func(c *cast, _ string) map[string]any {
		_, _, chunk := c.snapshot(c.laptop, 100)
		return input("ids", b64(chunk[:]))
	}, fill(same("nowhere", other, admin, super), "reader"), nil},

	node("user", func(c *cast) any { return c.ada.ID }, same(null, other)),
	node("session", func(c *cast) any { return c.ada.Session }, same(null, other, admin, super)),
	node("API token", func(c *cast) any {
		t, _, err := c.accounts.CreateAPIToken(context.Background(), c.ada.Actor, "t", nil)
		c.ok(err)
		return t.ID
	}, same(null, other, admin, super)),
	node("invitation", func(c *cast) any {
		inv, _, _, err := c.accounts.Invite(context.Background(), actor.System(), account.InviteInput{Email: "new@example.org", Name: "n", Role: actor.Staff})
		c.ok(err)
		return inv.ID
	}, same(null, other, owner, apiToken)),
	node("device", func(c *cast) any { return c.laptop.ID }, merge(same(null, other), same(allowed, recovery))),
	node("backup", func(c *cast) any { return c.begun().ID }, same(null, other)),
	node("snapshot", func(c *cast) any { s, _, _ := c.snapshot(c.laptop, 100); return s.ID }, merge(same(null, other, admin, super), same(allowed, recovery))),

	{"Mutation.invite", `mutation($input: InviteInput!) { invite(input: $input) { token } }`, func(*cast, string) map[string]any {
		return input("email", "someone@example.org", "name", "n")
	}, fill(nil, "admin"), nil},
	{"Mutation.invite", `mutation($input: InviteInput!) { invite(input: $input) { token } }`, func(*cast, string) map[string]any {
		return input("email", "someone@example.org", "name", "n", "role", "ADMIN")
	}, fill(nil, "superuser"), nil},
	{"Mutation.withdrawInvitation", `mutation($input: WithdrawInvitationInput!) { withdrawInvitation(input: $input) { id } }`, func(c *cast, _ string) map[string]any {
		inv, _, _, err := c.accounts.Invite(context.Background(), actor.System(), account.InviteInput{Email: "new@example.org", Name: "n", Role: actor.Staff})
		c.ok(err)
		return input("id", inv.ID)
	}, fill(nil, "admin"), nil},
	{"Mutation.join", `mutation($input: JoinInput!) { join(input: $input) { token } }`, func(c *cast, caller string) map[string]any {
		_, token, _, err := c.accounts.Invite(context.Background(), actor.System(), account.InviteInput{Email: strings.ReplaceAll(strings.ReplaceAll(caller, " ", ""), "'", "") + "@example.org", Name: "n", Role: actor.Staff})
		c.ok(err)
		return input("token", token, "name", "n", "keys", keysInput(c.ada), "recovery", recoveryInput(), "identityPublic", b64(random(1216)), "client", "test")
	}, fill(nil, "public"), nil},
	{"Mutation.login", `mutation($input: LoginInput!) { login(input: $input) { token } }`, func(c *cast, _ string) map[string]any {
		return input("email", c.ada.Email, "authKey", b64(c.ada.AuthKey), "client", "test")
	}, fill(nil, "public"), nil},
	{"Mutation.loginWithRecovery", `mutation($input: LoginWithRecoveryInput!) { loginWithRecovery(input: $input) { token } }`, func(c *cast, _ string) map[string]any {
		return input("email", c.ada.Email, "recoveryAuthKey", b64(c.ada.Recovery), "client", "test")
	}, fill(nil, "public"), nil},
	{"Mutation.logout", `mutation { logout { ok } }`, noVars, fill(merge(same(allowed, recovery), same(string(fault.Conflict), apiToken)), "person"), nil},
	{"Mutation.changePassword", `mutation($input: ChangePasswordInput!) { changePassword(input: $input) { user { id } } }`, func(c *cast, _ string) map[string]any {
		return input("oldAuthKey", b64(c.ada.AuthKey), "keys", keysInput(c.ada)) // ada's old key: nobody else's
	}, fill(merge(same(string(fault.WrongPassword), other, admin, super), same(allowed, recovery)), "person"), nil},
	{"Mutation.renewRecovery", `mutation($input: RenewRecoveryInput!) { renewRecovery(input: $input) { user { id } } }`, func(c *cast, _ string) map[string]any {
		return input("authKey", b64(c.ada.AuthKey), "recovery", recoveryInput())
	}, fill(same(string(fault.WrongPassword), other, admin, super), "person"), nil},
	{"Mutation.updateProfile", `mutation($input: UpdateProfileInput!) { updateProfile(input: $input) { user { name } } }`, func(_ *cast, caller string) map[string]any {
		return input("name", "New "+caller)
	}, fill(nil, "person"), nil},
	{"Mutation.changeEmail", `mutation($input: ChangeEmailInput!) { changeEmail(input: $input) { user { email } } }`, func(c *cast, caller string) map[string]any {
		return input("email", strings.ReplaceAll(strings.ReplaceAll(caller, " ", ""), "'", "")+".new@example.org", "authKey", b64(c.ada.AuthKey)) // ada's key: nobody else's
	}, fill(merge(same(string(fault.WrongPassword), other, admin, super), same(forbidden, apiToken)), "person"), nil},
	{"Mutation.confirmEmail", `mutation($input: ConfirmEmailInput!) { confirmEmail(input: $input) { user { email } } }`, func(*cast, string) map[string]any {
		return input("code", "AAAA-AAAA")
	}, fill(merge(same(string(fault.Conflict), owner, other, admin, super), same(forbidden, apiToken)), "person"), nil},
	{"Mutation.cancelEmail", `mutation { cancelEmail { user { id } } }`, noVars, fill(same(forbidden, apiToken), "person"), nil},
	{"Mutation.beginSecondFactor", `mutation($input: BeginSecondFactorInput!) { beginSecondFactor(input: $input) { secret uri } }`, func(c *cast, _ string) map[string]any {
		return input("authKey", b64(c.ada.AuthKey))
	}, fill(merge(same(string(fault.WrongPassword), other, admin, super), same(forbidden, apiToken)), "person"), nil},
	{"Mutation.confirmSecondFactor", `mutation($input: ConfirmSecondFactorInput!) { confirmSecondFactor(input: $input) { backupCodes } }`, func(*cast, string) map[string]any {
		return input("code", "000000")
	}, fill(merge(same(string(fault.Conflict), owner, other, admin, super), same(forbidden, apiToken)), "person"), nil},
	{"Mutation.renewBackupCodes", `mutation($input: RenewBackupCodesInput!) { renewBackupCodes(input: $input) { backupCodes } }`, func(c *cast, _ string) map[string]any {
		return input("authKey", b64(c.ada.AuthKey), "code", "000000")
	}, fill(merge(same(string(fault.WrongPassword), other, admin, super), same(string(fault.Conflict), owner), same(forbidden, apiToken)), "person"), nil},
	{"Mutation.disableSecondFactor", `mutation($input: DisableSecondFactorInput!) { disableSecondFactor(input: $input) { user { id } } }`, func(c *cast, _ string) map[string]any {
		return input("authKey", b64(c.ada.AuthKey), "code", "000000")
	}, fill(merge(same(string(fault.WrongPassword), other, admin, super), same(string(fault.Conflict), owner), same(forbidden, apiToken)), "person"), nil},
	{"Mutation.resetSecondFactor", `mutation($input: ResetSecondFactorInput!) { resetSecondFactor(input: $input) { user { id } } }`, func(c *cast, _ string) map[string]any {
		return input("user", c.person("victim", actor.Staff).ID)
	}, fill(same(string(fault.Conflict), admin, super), "admin"), nil},
	{"Mutation.resetAccount", `mutation($input: ResetAccountInput!) { resetAccount(input: $input) { token } }`, func(c *cast, _ string) map[string]any {
		v := c.person("victim", actor.Staff)
		return input("user", v.ID, "email", v.Email)
	}, fill(nil, "admin"), nil},
	{"Mutation.endSession", `mutation($input: EndSessionInput!) { endSession(input: $input) { id } }`, func(c *cast, _ string) map[string]any {
		login, err := c.accounts.Login(context.Background(), account.LoginInput{Email: c.ada.Email, AuthKey: c.ada.AuthKey, Client: "t", Address: "192.0.2.1"})
		c.ok(err)
		return input("id", login.Session.ID)
	}, fill(merge(same(missing, other, admin, super), same(forbidden, apiToken)), "person"), nil},
	{"Mutation.createApiToken", `mutation($input: CreateApiTokenInput!) { createApiToken(input: $input) { token } }`, func(*cast, string) map[string]any {
		return input("name", "t")
	}, fill(same(forbidden, apiToken), "person"), nil},
	{"Mutation.revokeApiToken", `mutation($input: RevokeApiTokenInput!) { revokeApiToken(input: $input) { id } }`, func(c *cast, _ string) map[string]any {
		t, _, err := c.accounts.CreateAPIToken(context.Background(), c.ada.Actor, "t", nil)
		c.ok(err)
		return input("id", t.ID)
	}, fill(merge(same(missing, other, admin, super), same(forbidden, apiToken)), "person"), nil},
	{"Mutation.setRole", `mutation($input: SetRoleInput!) { setRole(input: $input) { user { role } } }`, func(c *cast, _ string) map[string]any {
		return input("user", c.ada.ID, "role", "ADMIN")
	}, fill(nil, "superuser"), nil},
	{"Mutation.suspendUser", `mutation($input: SuspendUserInput!) { suspendUser(input: $input) { user { suspended } } }`, func(c *cast, _ string) map[string]any {
		return input("user", c.person("victim", actor.Staff).ID)
	}, fill(nil, "admin"), nil},
	{"Mutation.resumeUser", `mutation($input: ResumeUserInput!) { resumeUser(input: $input) { user { suspended } } }`, func(c *cast, _ string) map[string]any {
		v := c.person("victim", actor.Staff)
		_, err := c.accounts.Suspend(context.Background(), c.root.Actor, v.ID)
		c.ok(err)
		return input("user", v.ID)
	}, fill(nil, "admin"), nil},

	{"Mutation.createEnrolment", `mutation($input: CreateEnrolmentInput!) { createEnrolment(input: $input) { id } }`, func(*cast, string) map[string]any {
		return input("tokenHash", b64(random(32)), "sealed", b64(random(1300)))
	}, fill(nil, "person"), nil},
	{"Mutation.registerDevice", registerQuery, func(*cast, string) map[string]any { return registerInput(nil) }, fill(nil, "person"), nil},
	{"Mutation.registerDevice", registerQuery, func(c *cast, _ string) map[string]any { t := c.enrolment(); return registerInput(&t) }, fill(nil, "public"), nil},
	{"Mutation.renameDevice", `mutation($input: RenameDeviceInput!) { renameDevice(input: $input) { device { name } } }`, func(c *cast, caller string) map[string]any {
		return input("id", c.laptop.ID, "name", "by "+caller)
	}, fill(same(missing, other, admin, super), "person"), nil},
	{"Mutation.revokeDevice", `mutation($input: RevokeDeviceInput!) { revokeDevice(input: $input) { device { revokedAt } } }`, func(c *cast, caller string) map[string]any {
		return input("id", c.device(c.ada, "for "+caller).ID)
	}, fill(same(missing, other), "person"), nil},

	{"Mutation.beginBackup", `mutation($input: BeginBackupInput!) { beginBackup(input: $input) { id } }`, func(c *cast, _ string) map[string]any {
		s, _, _ := c.snapshot(c.laptop, 100)
		return input("parent", s.ID)
	}, fill(nil, "device"), nil},
	{"Mutation.missingObjects", `mutation($input: MissingObjectsInput!) { missingObjects(input: $input) { missing } }`, func(c *cast, _ string) map[string]any {
		_, _, chunk := c.snapshot(c.laptop, 100)
		b := c.begun()
		return input("backup", b.ID, "fence", b.Fence, "ids", b64(chunk[:]))
	}, fill(same(missing, otherDev), "device"), nil},
	{"Mutation.uploadPack", "", func(c *cast, _ string) map[string]any {
		b := c.begun()
		return map[string]any{"backup": b.ID, "fence": b.Fence}
	}, fill(same(missing, otherDev), "device"), func(c *cast, caller string, vars map[string]any) *reply {
		body, name, _, _ := smallPack(500)
		return c.upload(c.tokens[caller], vars["backup"].(id.Backup), vars["fence"].(int64), name.String(), body)
	}},
	{"Mutation.reportProgress", `mutation($input: ReportProgressInput!) { reportProgress(input: $input) { ok } }`, func(c *cast, _ string) map[string]any {
		return progressInput(c.begun())
	}, fill(same(missing, otherDev), "device"), nil},
	{"Mutation.commitSnapshot", `mutation($input: CommitSnapshotInput!) { commitSnapshot(input: $input) { snapshot { id } } }`, func(c *cast, _ string) map[string]any {
		s, _, _ := c.snapshot(c.laptop, 100)
		b := c.begun()
		return input("backup", b.ID, "fence", b.Fence, "root", b64(s.Root), "manifest", b64(random(200)), "files", 1, "bytes", 1, "problems", 0, "uploadedBytes", 1)
	}, fill(same(missing, otherDev), "device"), nil},
	{"Mutation.abortBackup", `mutation($input: AbortBackupInput!) { abortBackup(input: $input) { ok } }`, func(c *cast, _ string) map[string]any {
		b := c.begun()
		return input("backup", b.ID, "fence", b.Fence)
	}, fill(same(missing, otherDev), "device"), nil},
	{"Mutation.deleteSnapshot", `mutation($input: DeleteSnapshotInput!) { deleteSnapshot(input: $input) { id } }`, func(c *cast, _ string) map[string]any {
		s, _, _ := c.snapshot(c.laptop, 100)
		return input("id", s.ID)
	}, fill(same(missing, other, admin, super), "person"), nil},

	{"Subscription.deviceProgress", `subscription($d: ID!) { deviceProgress(device: $d) { id state } }`, func(c *cast, _ string) map[string]any {
		c.begun()
		return map[string]any{"d": c.laptop.ID}
	}, fill(same(missing, other), "person"), func(c *cast, caller string, vars map[string]any) *reply {
		return c.subscribeOnce(c.tokens[caller], `subscription($d: ID!) { deviceProgress(device: $d) { id state } }`, vars)
	}},
}

const registerQuery = `mutation($input: RegisterDeviceInput!) { registerDevice(input: $input) { token } }`

func registerInput(token *string) map[string]any {
	return input("enrolmentToken", token, "name", "d", "hostname", "h", "os", "linux", "arch", "amd64", "agentVersion", "0.1.0", "publicKey", b64(random(1216)), "mac", b64(random(32)))
}

func node(kind string, make func(*cast) any, rest map[string]string) row {
	return row{"Query.node", `query($id: ID!) { node(id: $id) { __typename id } } # ` + kind, func(c *cast, _ string) map[string]any {
		return map[string]any{"id": make(c)}
	}, fill(merge(same(null, recovery), rest), "person"), nil}
}

// schema reads the schema from its files.
func schema(t *testing.T) *ast.Schema {
	t.Helper()
	names, _ := filepath.Glob("../schema/*.graphqls")
	var sources []*ast.Source
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, &ast.Source{Name: n, Input: string(b)})
	}
	s, err := gqlparser.LoadSchema(sources...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEveryRootFieldSaysWhoMay holds that no field of a root type lacks its directive, or has two.
func TestEveryRootFieldSaysWhoMay(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for _, root := range []*ast.Definition{s.Query, s.Mutation, s.Subscription} {
		for _, f := range root.Fields {
			n := 0
			for _, d := range []string{"auth", "device", "writer", "public"} {
				n += len(f.Directives.ForNames(d))
			}
			if n != 1 && !strings.HasPrefix(f.Name, "__") {
				t.Errorf("%s.%s carries %d of @auth, @device, @writer and @public: want exactly one", root.Name, f.Name, n)
			}
		}
	}
}

// TestAuthorization is the table: every root field for every caller. A refused operation gives no data and
// leaves the database as it was.
func TestAuthorization(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for _, root := range []*ast.Definition{s.Query, s.Mutation, s.Subscription} {
		for _, f := range root.Fields {
			name := root.Name + "." + f.Name
			if !strings.HasPrefix(f.Name, "__") && !slices.ContainsFunc(rows, func(r row) bool { return r.field == name }) {
				t.Errorf("%s has no row: say who may use it", name)
			}
		}
	}
	// Most rows leave the cast as it is, and share one of a few; a row that changes what its people are has
	// one of its own.
	spoils := map[string]bool{"Mutation.logout": true, "Mutation.changePassword": true, "Mutation.renewRecovery": true, "Mutation.setRole": true}
	const shares = 3
	var groups [shares][]row
	for i, r := range rows {
		if spoils[r.field] {
			t.Run(r.name(), func(t *testing.T) {
				t.Parallel()
				r.run(t, newCast(t), true)
			})
			continue
		}
		groups[i%shares] = append(groups[i%shares], r)
	}
	for i, group := range groups {
		t.Run(fmt.Sprint("group ", i), func(t *testing.T) {
			t.Parallel()
			c := newCast(t)
			for _, r := range group {
				t.Run(r.name(), func(t *testing.T) { r.run(t, c, false) })
			}
		})
	}
}

func (r row) name() string {
	if _, kind, ok := strings.Cut(r.query, "# "); ok {
		return r.field + " " + kind
	}
	return r.field
}

// run sends a row's operation as every caller. Those who are refused go first, so that they find everything
// in place.
func (r row) run(t *testing.T, c *cast, spoils bool) {
	order := slices.Clone(callers)
	slices.SortStableFunc(order, func(a, b string) int { return rank(r.expect[a]) - rank(r.expect[b]) })
	for _, caller := range order {
		c.t = t
		want, ok := r.expect[caller]
		if !ok {
			t.Fatalf("no expectation for %s", caller)
		}
		vars := r.vars(c, caller)
		before := c.dump()
		var got *reply
		if r.call != nil {
			got = r.call(c, caller, vars)
		} else {
			got = c.gql(c.tokens[caller], r.query, vars)
		}
		if outcome := outcome(got); outcome != want {
			t.Errorf("as %s: %s, want %s\n%d %s", caller, outcome, want, got.Status, got.Raw)
		}
		if want == allowed {
			if spoils {
				c = newCast(t)
			}
			continue
		}
		if after := c.dump(); after != before {
			t.Errorf("as %s: refused, but the database has changed:\n%s", caller, difference(before, after))
		}
		for _, secret := range []string{c.ada.Email, c.boss.Email} {
			if strings.Contains(got.Raw, secret) {
				t.Errorf("as %s: the refusal holds %s: %s", caller, secret, got.Raw)
			}
		}
	}
}

func rank(expect string) int {
	if expect == allowed {
		return 1
	}
	return 0
}

// outcome names what a reply says.
func outcome(r *reply) string {
	if c := r.code(); c != "" {
		for k, v := range r.Data {
			if v != nil {
				return "data beside an error: " + k
			}
		}
		return string(c)
	}
	if len(r.Data) == 0 {
		return "no data and no error"
	}
	for k, v := range r.Data {
		switch {
		case v == nil:
			return null
		case k == "snapshots" && at(v, "edges", 0) == nil:
			return "empty"
		case k == "objectLocations" && at(v, "packs", 0) == nil:
			return "nowhere"
		}
	}
	return allowed
}

// difference lists the lines that two dumps do not share.
func difference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	var out []string
	for _, l := range x {
		if !slices.Contains(y, l) {
			out = append(out, "- "+l)
		}
	}
	for _, l := range y {
		if !slices.Contains(x, l) {
			out = append(out, "+ "+l)
		}
	}
	return strings.Join(out, "\n")
}

// enrolment makes a one-time code of ada's and returns its token.
func (c *cast) enrolment() string {
	c.t.Helper()
	token, hash := enrolmentToken()
	_, err := c.fleet.CreateEnrolment(context.Background(), c.ada.Actor, hash, random(1300))
	c.ok(err)
	return token
}

// TestDownloadsAskForNothingButTheAddress is the table's last column: a signed address works for everybody,
// and without one nobody learns anything.
func TestDownloadsAskForNothingButTheAddress(t *testing.T) {
	t.Parallel()
	c := newCast(t)
	_, name, chunk := c.snapshot(c.laptop, 1000)
	r := c.gql(c.ada.Token, `query($input: ObjectLocationsInput!) { objectLocations(input: $input) { packs { url } } }`, input("ids", b64(chunk[:])))
	url, _ := at(r.Data, "objectLocations", "packs", 0, "url").(string)
	if !strings.HasPrefix(url, "/packs/"+name.String()+"?") {
		t.Fatalf("%q\n%s", url, r.Raw)
	}
	for _, caller := range callers {
		for path, want := range map[string]int{url: http.StatusOK, "/packs/" + name.String(): http.StatusForbidden, strings.Replace(url, "sig=", "sig=A", 1): http.StatusForbidden} {
			req, _ := http.NewRequest(http.MethodGet, c.web.URL+path, nil)
			if got := c.send(req, c.tokens[caller]); got.Status != want {
				t.Errorf("as %s: %s gives %d, want %d", caller, path, got.Status, want)
			}
		}
	}
	if strings.Contains(c.log.String(), "sig=") {
		t.Error("the log holds a signature")
	}
	for who, token := range c.tokens {
		if token != "" && strings.Contains(c.log.String(), token) {
			t.Errorf("the log holds the token of %s", who)
		}
	}
}
