package state

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// answers are what a world says to operations and methods, by their names: a JSON text, or an error.
type answers map[string]func(in map[string]any) (string, error)

func say(text string) func(map[string]any) (string, error) {
	return func(map[string]any) (string, error) { return text, nil }
}

func refuse(kind fault.Kind, message string) func(map[string]any) (string, error) {
	return func(map[string]any) (string, error) { return "", fault.New(kind, "%s", message) }
}

// world is a server and a worker as tests need them, and what was asked of both, in order.
type world struct {
	t      *testing.T
	mu     sync.Mutex
	server answers
	worker answers
	asked  []string
	sent   map[string]map[string]any // the last variables of each
	down   bool                      // the server cannot be reached
	locked chan struct{}             // is closed when the worker's keys are
	subs   []func(json.RawMessage, error)
	ended  int // subscriptions that were stopped
}

const (
	ada       = `{"id":"usr_1","email":"ada@example.org","name":"Ada","role":"STAFF","createdAt":"2026-11-01T00:00:00Z"}`
	adaIn     = `{"user":{"id":"usr_1","email":"ada@example.org","name":"Ada","role":"STAFF","createdAt":"2026-11-01T00:00:00Z","identityPublic":"aWQ="},"bundle":"YnVuZGxl","expiresAt":"2026-12-01T00:00:00Z"}`
	protected = `{"id":"usr_1","email":"ada@example.org","name":"Ada","role":"STAFF","createdAt":"2026-11-01T00:00:00Z","secondFactor":true}`
	theCode   = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE-FFFFF-GGGGG-HHHHH"
)

// newWorld returns one in which everything goes well.
func newWorld(t *testing.T) *world {
	w := &world{t: t, sent: map[string]map[string]any{}, locked: make(chan struct{})}
	w.server = answers{
		"Me":                   say(`{"me":` + ada + `}`),
		"LoginParams":          say(`{"loginParams":{"salt":"c2FsdA==","time":3,"memory":65536,"threads":4}}`),
		"Login":                say(`{"login":` + adaIn + `}`),
		"LoginWithRecovery":    say(`{"loginWithRecovery":` + adaIn + `}`),
		"Join":                 say(`{"join":` + adaIn + `}`),
		"Logout":               say(`{"logout":{"ok":true}}`),
		"InvitationOffer":      say(`{"invitation":{"email":"ada@example.org","name":"Ada","role":"STAFF","expiresAt":"2026-12-01T00:00:00Z"}}`),
		"ChangePassword":       say(`{"changePassword":{"user":` + ada + `}}`),
		"RenewRecovery":        say(`{"renewRecovery":{"user":{"id":"usr_1"}}}`),
		"UpdateProfile":        say(`{"updateProfile":{"user":` + strings.Replace(ada, `"Ada"`, `"Ada L."`, 1) + `}}`),
		"Access":               say(`{"me":{"id":"usr_1","sessions":[{"id":"ses_1","client":"A browser","address":"::1","createdAt":"2026-11-01T00:00:00Z","lastSeenAt":"2026-11-01T00:00:00Z","expiresAt":"2026-12-01T00:00:00Z","current":true}],"apiTokens":[{"id":"tok_1","name":"Monitoring","createdAt":"2026-11-01T00:00:00Z","lastUsedAt":null,"expiresAt":null}]}}`),
		"ChangeEmail":          say(`{"changeEmail":{"waits":false,"user":` + strings.Replace(ada, "ada@example.org", "ada@example.com", 1) + `}}`),
		"ConfirmEmail":         say(`{"confirmEmail":{"user":` + strings.Replace(ada, "ada@example.org", "ada@example.net", 1) + `}}`),
		"CancelEmail":          say(`{"cancelEmail":{"user":{"id":"usr_1"}}}`),
		"BeginSecondFactor":    say(`{"beginSecondFactor":{"secret":"ABCDEFGH","uri":"otpauth://totp/x"}}`),
		"ConfirmSecondFactor":  say(`{"confirmSecondFactor":{"user":` + protected + `,"backupCodes":["AAAAA-BBBBB"]}}`),
		"RenewBackupCodes":     say(`{"renewBackupCodes":{"backupCodes":["CCCCC-DDDDD"]}}`),
		"DisableSecondFactor":  say(`{"disableSecondFactor":{"user":` + ada + `}}`),
		"EndSession":           say(`{"endSession":{"id":"ses_1"}}`),
		"CreateApiToken":       say(`{"createApiToken":{"apiToken":{"id":"tok_2","name":"x","createdAt":"2026-11-01T00:00:00Z","lastUsedAt":null,"expiresAt":null},"token":"hfa_secret"}}`),
		"RevokeApiToken":       say(`{"revokeApiToken":{"id":"tok_1"}}`),
		"Notices":              say(notices(true, "ntc_2", "ntc_1")),
		"MarkNoticesRead":      say(`{"markNotificationsRead":{"unreadCount":0}}`),
		"NoticePreferences":    say(`{"notificationPreferences":[{"kind":"run.failed","title":"A backup failed","severity":"ERROR","mail":"INSTANT","default":"INSTANT"}]}`),
		"SetNoticePreferences": say(`{"setNotificationPreferences":{"preferences":[]}}`),
	}
	w.worker = answers{
		talk.MethodDerive:         say(`{"authKey":"cHJvb2Y="}`),
		talk.MethodDeriveRecovery: say(`{"authKey":"cHJvb2Y="}`),
		talk.MethodOpen:           say(`null`),
		talk.MethodResume:         say(`null`),
		talk.MethodLock:           say(`null`),
		talk.MethodStrength:       say(`{"score":3,"sentence":"Not in a lifetime."}`),
		talk.MethodCreate:         say(`{"keys":{"params":{"salt":"c2FsdA==","time":3,"memory":65536,"threads":4},"authKey":"cHJvb2Y=","bundle":"YnVuZGxl"},"recovery":{"code":"` + theCode + `","keys":{"authKey":"cmVj","bundle":"YnVuZGxl"}},"identityPublic":"aWQ="}`),
		talk.MethodRewrap:         say(`{"params":{"salt":"bmV3","time":3,"memory":65536,"threads":4},"authKey":"bmV3","bundle":"YnVuZGxl"}`),
		talk.MethodNewRecovery:    say(`{"code":"` + theCode + `","keys":{"authKey":"cmVj","bundle":"YnVuZGxl"}}`),
	}
	return w
}

// notices is an answer with some notices, all unread.
func notices(more bool, ids ...string) string {
	var edges []string
	for _, id := range ids {
		edges = append(edges, `{"node":`+noticeJSON(id)+`}`)
	}
	return fmt.Sprintf(`{"notifications":{"edges":[%s],"pageInfo":{"hasNextPage":%v,"endCursor":"cur"},"unreadCount":%d}}`, strings.Join(edges, ","), more, len(ids))
}

func noticeJSON(id string) string {
	return `{"id":"` + id + `","kind":"run.failed","severity":"ERROR","title":"A backup failed","body":"Laptop","device":{"id":"dev_1","name":"Laptop"},"run":{"id":"run_1"},"createdAt":"2026-11-01T00:00:00Z","readAt":null}`
}

func (w *world) answer(from answers, name string, in []byte) (string, error) {
	vars := map[string]any{}
	if err := json.Unmarshal(in, &vars); err != nil && string(in) != "null" {
		w.t.Errorf("%s: %s: %v", name, in, err)
	}
	w.mu.Lock()
	w.asked = append(w.asked, name)
	w.sent[name] = vars
	fn := from[name]
	w.mu.Unlock()
	if fn == nil {
		return "", fault.New(fault.Internal, "nobody knows %s", name)
	}
	return fn(vars)
}

// set changes an answer.
func (w *world) set(from answers, name string, fn func(map[string]any) (string, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from[name] = fn
}

// Call implements Keys.
func (w *world) Call(ctx context.Context, method string, in, out any) error {
	if method == talk.MethodLocked {
		w.mu.Lock()
		locked := w.locked
		w.mu.Unlock()
		<-locked
		return nil
	}
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	got, err := w.answer(w.worker, method, text)
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal([]byte(got), out)
}

func (w *world) fetch(ctx context.Context, body []byte) (int, []byte, error) {
	var req struct {
		OperationName string
		Variables     json.RawMessage
	}
	if err := json.Unmarshal(body, &req); err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	down := w.down
	w.mu.Unlock()
	if down {
		return 0, nil, fault.New(fault.Unavailable, "no route")
	}
	if req.Variables == nil {
		req.Variables = []byte("null")
	}
	got, err := w.answer(w.server, req.OperationName, req.Variables)
	if err != nil {
		got = fmt.Sprintf(`{"errors":[{"message":%q,"extensions":{"code":%q}}]}`, err.Error(), fault.KindOf(err))
	} else {
		got = `{"data":` + got + `}`
	}
	return 200, []byte(got), nil
}

// Subscribe implements Live.
func (w *world) Subscribe(query string, variables any, fn func(json.RawMessage, error)) func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subs = append(w.subs, fn)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended++
	}
}

// tell sends an event to whoever subscribed.
func (w *world) tell(data string, err error) {
	w.mu.Lock()
	subs := w.subs
	w.mu.Unlock()
	for _, fn := range subs {
		fn(json.RawMessage(data), err)
	}
}

func (w *world) client() *api.Client { return &api.Client{Fetch: w.fetch} }

func (w *world) session() *Session { return NewSession(w.client(), w) }

// in returns a session of somebody who is in.
func (w *world) in() *Session {
	s := w.session()
	s.Start()
	await(w.t, s, func() bool { return s.View().Phase == Open })
	return s
}

// was reports whether something was asked.
func (w *world) was(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.asked {
		if a == name {
			return true
		}
	}
	return false
}

// last returns what was last sent with an operation or a method.
func (w *world) last(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out, _ := json.Marshal(w.sent[name])
	return string(out)
}

// await waits until a model is as it should be.
func await(t *testing.T, m interface{ Observe(func()) func() }, is func() bool) {
	t.Helper()
	changed := make(chan struct{}, 1)
	defer m.Observe(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	limit := time.After(10 * time.Second)
	for !is() {
		select {
		case <-changed:
		case <-limit:
			t.Fatal("it never came to that")
		}
	}
}

// fails checks the kind and a word of an error.
func fails(t *testing.T, err error, kind fault.Kind, word string) {
	t.Helper()
	if fault.KindOf(err) != kind || err == nil || !strings.Contains(err.Error(), word) {
		t.Errorf("%v: want %s with %q", err, kind, word)
	}
}
