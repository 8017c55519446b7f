package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/bus"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/fleet"
	"github.com/holdfast-backup/holdfast/depot/mail"
	"github.com/holdfast-backup/holdfast/depot/mail/mailtest"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/queue"
	"github.com/holdfast-backup/holdfast/depot/replica"
	"github.com/holdfast-backup/holdfast/depot/report"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/depot/setting"
	"github.com/holdfast-backup/holdfast/graph"
	"github.com/holdfast-backup/holdfast/server"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// world is a whole server on a PostgreSQL of its own, with a Redis, over HTTP.
type world struct {
	t        testing.TB
	db       *sqlx.DB
	accounts *account.Service
	fleet    *fleet.Service
	catalog  *catalog.Service
	policies *policy.Service
	runs     *run.Service
	apps     *application.Service
	settings *setting.Service
	notices  *notice.Service
	smtp     *mailtest.Server
	queue    *queue.Client
	bus      *bus.Bus
	signer   *server.Signer
	server   *server.Server
	web      *httptest.Server
	log      *syncBuffer
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, pgtest.New(t), mem.New(), nil)
}

func newWorldStore(t testing.TB, store blob.Store) *world {
	t.Helper()
	return newWorldOn(t, pgtest.New(t), store, nil)
}

func newWorldOn(t testing.TB, db *sqlx.DB, store blob.Store, adjust func(*server.Config)) *world {
	t.Helper()
	opts, err := redis.ParseURL(pgtest.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opts)
	secret := random(32)
	w := &world{t: t, db: db, bus: bus.New(client), signer: server.NewSigner(secret), log: new(syncBuffer)}
	w.accounts = account.New(account.Config{DB: db, Pepper: secret, PublicURL: "https://backup.example.org", Bus: w.bus,
		Mail: func(ctx context.Context, tx *sqlx.Tx, c notice.Code) error { return w.notices.MailCode(ctx, tx, c) }})
	w.fleet = fleet.New(fleet.Config{DB: db, Bus: w.bus})
	w.catalog = catalog.New(catalog.Config{DB: db, Store: store, Bus: w.bus, Sign: w.signer.Sign})
	w.settings = setting.New(setting.Config{DB: db})
	w.policies = policy.New(policy.Config{DB: db})
	w.apps = application.New(application.Config{DB: db})
	w.runs = run.New(run.Config{DB: db, Bus: w.bus, Policies: w.policies, Applications: w.apps, Settings: w.settings})
	w.smtp = mailtest.New(t, mailtest.Config{})
	smtp, err := mail.ParseURL(w.smtp.URL("Backup <backup@example.org>"))
	w.ok(err)
	w.notices = notice.New(notice.Config{DB: db, Bus: w.bus, Mail: mail.New(smtp), Settings: w.settings.ForNotices, URL: "https://backup.example.org"})
	w.queue = queue.NewClient(client)
	replicas, err := replica.New(replica.Config{DB: db, Store: store})
	w.ok(err)
	room := &depot.Depot{DB: db, Catalog: w.catalog}
	cfg := server.Config{
		API: graph.Config{
			Accounts: w.accounts, Fleet: w.fleet, Catalog: w.catalog, Bus: w.bus,
			Policies: w.policies, Runs: w.runs, Applications: w.apps, Settings: w.settings, Notices: w.notices,
			Reports: report.New(report.Config{DB: db, Settings: w.settings, Bus: w.bus}),
			Jobs:    room.Jobs, Job: room.Job, Doctor: room.Doctor, Replicas: replicas, Queue: queue.NewInspector(client),
			Care: func(ctx context.Context, a actor.Actor, kind string) error {
				if err := a.Require(actor.Admin); err != nil {
					return err
				}
				return w.queue.Ring(ctx, "care", kind)
			},
			Audit: func(ctx context.Context, a actor.Actor, f audit.Filter, first int, after string) (*audit.Page, error) {
				return audit.Find(ctx, db, a, f, first, after)
			},
			Reset: (&depot.Depot{Accounts: w.accounts, Fleet: w.fleet, Catalog: w.catalog}).Reset,
		},
		Authenticate: func(ctx context.Context, token string) (actor.Actor, error) {
			if strings.HasPrefix(token, proto.TokenDevice) {
				return w.fleet.AuthenticateDevice(ctx, token)
			}
			if strings.HasPrefix(token, proto.TokenImport) {
				return w.catalog.AuthenticateImport(ctx, token)
			}
			return w.accounts.Authenticate(ctx, token)
		},
		Seen:   w.fleet.Seen,
		Signer: w.signer,
		Log:    slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if adjust != nil {
		adjust(&cfg)
	}
	w.server = server.New(cfg)
	w.web = httptest.NewServer(w.server)
	t.Cleanup(func() {
		w.server.Close()
		w.web.Close()
		w.bus.Close()
		client.Close()
	})
	return w
}

// person is somebody with an account, and a token that speaks for them.
type person struct {
	ID       id.User
	Email    string
	AuthKey  []byte
	Recovery []byte
	Session  id.Session
	Token    string
	Actor    actor.Actor
}

var people atomic.Int64

func (w *world) person(name string, role actor.Role) *person {
	w.t.Helper()
	ctx := context.Background()
	p := &person{Email: fmt.Sprintf("%s%d@example.org", name, people.Add(1)), AuthKey: random(32), Recovery: random(32)}
	_, token, _, err := w.accounts.Invite(ctx, actor.System(), account.InviteInput{Email: p.Email, Name: name, Role: role})
	w.ok(err)
	login, err := w.accounts.Join(ctx, account.JoinInput{
		Token: token, Name: name, IdentityPublic: random(1216), Client: "test", Address: "192.0.2.1",
		Keys:     account.Keys{Params: account.LoginParams{Salt: random(16), Time: 3, Memory: 64 << 10, Threads: 4}, AuthKey: p.AuthKey, Bundle: random(100)},
		Recovery: account.Recovery{AuthKey: p.Recovery, Bundle: random(100)},
	})
	w.ok(err)
	p.ID, p.Token, p.Session = login.User.ID, login.Token, login.Session.ID
	p.Actor, err = w.accounts.Authenticate(ctx, p.Token)
	w.ok(err)
	return p
}

// device is a machine of a person's, and its token.
type device struct {
	ID    id.Device
	Token string
	Actor actor.Actor
}

func (w *world) device(owner *person, name string) *device {
	w.t.Helper()
	ctx := context.Background()
	d, token, err := w.fleet.Register(ctx, owner.Actor, fleet.RegisterInput{
		Name: name, Hostname: name, OS: "linux", Arch: "amd64", AgentVersion: "0.1.0", PublicKey: random(1216), MAC: random(32),
	})
	w.ok(err)
	a, err := w.fleet.AuthenticateDevice(ctx, token)
	w.ok(err)
	return &device{ID: d.ID, Token: token, Actor: a}
}

// session begins a backup.
func (w *world) session(d *device) *catalog.Begun {
	w.t.Helper()
	b, err := w.catalog.Begin(context.Background(), d.Actor, nil)
	w.ok(err)
	return b
}

// snapshot makes a backup of one object of n bytes under one node, and returns the snapshot, the pack and the object.
func (w *world) snapshot(d *device, n int) (*catalog.Snapshot, id.Pack, id.Object) {
	w.t.Helper()
	ctx := context.Background()
	b := w.session(d)
	body, name, root, chunk := smallPack(n)
	_, err := w.catalog.Upload(ctx, d.Actor, catalog.UploadInput{Backup: b.ID, Fence: b.Fence, Name: name, Size: int64(len(body))}, bytes.NewReader(body))
	w.ok(err)
	s, err := w.catalog.Commit(ctx, d.Actor, catalog.CommitInput{Backup: b.ID, Fence: b.Fence, Root: root, Manifest: random(200), Files: 1, Bytes: int64(n)})
	w.ok(err)
	return s, name, chunk
}

// smallPack builds a pack of one node and one chunk.
func smallPack(n int) (body []byte, name id.Pack, root, chunk id.Object) {
	root, chunk = id.Object(random(16)), id.Object(random(16))
	p := pack.NewWriter(nil)
	p.Add(chunk, func(dst []byte) []byte { return append(dst, random(n)...) })
	p.AddNode(root, nil, []id.Object{chunk}, func(dst []byte) []byte { return append(dst, random(64)...) })
	body, name = p.Finish()
	return body, name, root, chunk
}

// reply is a GraphQL response.
type reply struct {
	Status int
	Header http.Header
	Raw    string
	Data   map[string]any `json:"data"`
	Errors []struct {
		Message    string         `json:"message"`
		Path       []any          `json:"path"`
		Extensions map[string]any `json:"extensions"`
	} `json:"errors"`
}

// code is what went wrong, "" if nothing did.
func (r *reply) code() fault.Kind {
	if len(r.Errors) == 0 {
		return ""
	}
	c, _ := r.Errors[0].Extensions["code"].(string)
	return fault.Kind(c)
}

type header map[string]string

// gql sends an operation by POST.
func (w *world) gql(token, query string, vars map[string]any, headers ...header) *reply {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	w.ok(err)
	r, err := http.NewRequest(http.MethodPost, w.web.URL+"/graphql", bytes.NewReader(body))
	w.ok(err)
	r.Header.Set("Content-Type", "application/json")
	return w.send(r, token, headers...)
}

func (w *world) send(r *http.Request, token string, headers ...header) *reply {
	w.t.Helper()
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, h := range headers {
		for k, v := range h {
			r.Header.Set(k, v)
		}
	}
	resp, err := w.web.Client().Do(r)
	w.ok(err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	w.ok(err)
	out := &reply{Status: resp.StatusCode, Header: resp.Header, Raw: string(raw)}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(raw, out); err != nil {
			w.t.Fatalf("%d %s: %v", resp.StatusCode, raw, err)
		}
	}
	return out
}

const uploadQuery = `mutation($input: UploadPackInput!) { uploadPack(input: $input) { existed } }`

// uploadForm writes an upload as the agent does.
func uploadForm(backup id.Backup, fence int64, name string, body []byte) (form []byte, contentType string) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	operations, _ := json.Marshal(map[string]any{"query": uploadQuery, "variables": map[string]any{"input": map[string]any{
		"backup": backup, "fence": fence, "name": name, "size": len(body), "pack": nil,
	}}})
	m.WriteField("operations", string(operations))
	m.WriteField("map", `{"0":["variables.input.pack"]}`)
	part, _ := m.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="0"; filename="pack"`}, "Content-Length": {fmt.Sprint(len(body))},
	})
	part.Write(body)
	m.Close()
	return b.Bytes(), m.FormDataContentType()
}

func (w *world) upload(token string, backup id.Backup, fence int64, name string, body []byte) *reply {
	w.t.Helper()
	form, contentType := uploadForm(backup, fence, name, body)
	r, err := http.NewRequest(http.MethodPost, w.web.URL+"/graphql/upload", bytes.NewReader(form))
	w.ok(err)
	r.Header.Set("Content-Type", contentType)
	return w.send(r, token)
}

// dump is all that the database holds, apart from when somebody was last seen: a refused operation leaves it alone.
func (w *world) dump() string {
	w.t.Helper()
	var parts []string
	for _, table := range []string{
		"users", "invitations", "sessions", "api_tokens", "audit_events", "devices", "enrolments",
		"spaces", "backups", "packs", "objects", "nodes", "snapshots",
		"applications", "application_schedules", "policies", "policy_targets", "groups", "group_members", "runs", "care_log",
		"notifications", "notification_preferences", "mails", "settings",
	} {
		volatile := ""
		if table == "sessions" || table == "api_tokens" || table == "devices" {
			volatile = " - 'last_seen_at' - 'last_used_at' - 'expires_at'"
		}
		parts = append(parts, fmt.Sprintf(`SELECT '%[1]s ' || (to_jsonb(t)%[2]s)::text AS line FROM %[1]s t`, table, volatile))
	}
	var lines []string
	w.ok(w.db.Select(&lines, strings.Join(parts, " UNION ALL ")+" ORDER BY line"))
	return strings.Join(lines, "\n")
}

func (w *world) ok(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Fatal(err)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// at walks into a reply's data.
func at(v any, path ...any) any {
	for _, p := range path {
		switch k := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[k]
		case int:
			l, _ := v.([]any)
			if k >= len(l) {
				return nil
			}
			v = l[k]
		}
	}
	return v
}
