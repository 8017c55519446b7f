// Package remotetest is a Holdfast server of one process and no disk, for tests of clients: real HTTP, real
// TLS, real GraphQL messages, one account's worth of honest behaviour, and failures on demand.
//
// It keeps what a client gives it and checks what a client must get right (tokens, the form of uploads, the
// completeness of a commit); it is no model of the real server, which has tests of its own.
package remotetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// Server is the server. Its exported fields are set before the first request, or within Set.
type Server struct {
	*httptest.Server

	Version     string        // of server; default proto.Version
	MinProtocol int           // of server; default 1
	Skew        time.Duration // how far its clock is ahead
	Fingerprint string        // of server
	URLTTL      time.Duration // of pack addresses; default one minute

	// Hook sees every request before the server does and may answer it: it returns true if it did. op is the
	// operation's name, "GET" for a pack.
	Hook func(op string, w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	calls    map[string]int
	failures map[string][]fault.Error
	users    map[string]*user
	tokens   map[string]*user // sessions
	devices  []*device
	offers   map[string]offer // by hex of the token's hash
	invites  map[string]Invite
	packs    map[id.Pack][]byte
	objects  map[id.Object]place
	snaps    []*snapshot
	sessions map[string]*session
	watchers map[chan event]string
	expired  map[string]bool // pack addresses that are no longer honoured
	serial   int
	sentAuth map[string]bool // operations that came with a token
}

// Invite is an invitation.
type Invite struct{ Email, Name string }

type user struct {
	email, name        string
	params             map[string]any
	auth, recovery     []byte
	bundle, recoBundle []byte
	identity           []byte
	codes              []string // of the second factor, to come; none: it has none
}

type device struct {
	id            id.Device
	token         string
	owner         *user
	input         map[string]any
	revoked, seen time.Time
}

type offer struct {
	sealed []byte
	user   *user
}

type place struct {
	pack id.Pack
	e    pack.Entry
}

type snapshot struct {
	id             id.Snapshot
	device         *device
	at             time.Time
	root, manifest []byte
	input          map[string]any
}

type session struct {
	id       id.Backup
	device   *device
	done     *snapshot
	progress map[string]any
}

// New starts a server over plain HTTP on loopback.
func New(t testing.TB) *Server { return start(t, httptest.NewUnstartedServer(nil), false) }

// NewTLS starts one with a certificate of a local authority, which is in the chain. Its fingerprint is in
// Fingerprint.
func NewTLS(t testing.TB) *Server {
	ts := httptest.NewUnstartedServer(nil)
	cfg, fingerprint := Authority(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "127.0.0.1")
	ts.TLS = cfg
	s := start(t, ts, true)
	s.Fingerprint = fingerprint
	return s
}

func start(t testing.TB, ts *httptest.Server, tls bool) *Server {
	s := &Server{
		Server: ts, Version: proto.Version, MinProtocol: 1, URLTTL: time.Minute,
		calls: map[string]int{}, failures: map[string][]fault.Error{}, users: map[string]*user{}, tokens: map[string]*user{},
		offers: map[string]offer{}, invites: map[string]Invite{}, packs: map[id.Pack][]byte{}, objects: map[id.Object]place{},
		sessions: map[string]*session{}, watchers: map[chan event]string{}, expired: map[string]bool{}, sentAuth: map[string]bool{},
	}
	ts.Config.Handler = s
	ts.Config.ErrorLog = discard()
	if tls {
		ts.StartTLS()
	} else {
		ts.Start()
	}
	t.Cleanup(ts.Close)
	return s
}

// Calls returns how often an operation was asked for.
func (s *Server) Calls(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

// Authorized reports whether the operation ever came with a bearer token.
func (s *Server) Authorized(op string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sentAuth[op]
}

// Fail makes the next calls of an operation fail, one per fault.
func (s *Server) Fail(op string, faults ...*fault.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.failures[op] = append(s.failures[op], *f)
	}
}

// Invite makes an invitation and returns its token.
func (s *Server) Invite(i Invite) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := s.token(proto.TokenInvitation)
	s.invites[token] = i
	return token
}

// Protect gives an account a second factor with these codes, each of which serves once, in this order. None: it has none any more.
func (s *Server) Protect(email string, codes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[email].codes = codes
}

// Expire makes all pack addresses that were given so far invalid.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.serial + 1 {
		s.expired[fmt.Sprint(n)] = true
	}
}

// EachPack hands over the bytes of every pack, to be damaged in place.
func (s *Server) EachPack(fn func([]byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.packs {
		fn(b)
	}
}

// Packs returns the number of packs.
func (s *Server) Packs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.packs)
}

func (s *Server) token(prefix string) string {
	s.serial++
	sum := sha256.Sum256(fmt.Appendf(nil, "%d", s.serial))
	return prefix + base64.RawURLEncoding.EncodeToString(sum[:])
}

type request struct {
	OperationName string         `json:"operationName"`
	Query         string         `json:"query"`
	Variables     map[string]any `json:"variables"`
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	skew := s.Skew
	s.mu.Unlock()
	w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
	switch {
	case strings.HasPrefix(r.URL.Path, "/packs/"):
		s.count("GET", r)
		if s.hooked("GET", w, r) {
			return
		}
		s.servePack(w, r)
	case r.URL.Path == "/graphql/upload":
		s.upload(w, r)
	case r.URL.Path == "/graphql" && r.Header.Get("Upgrade") != "":
		s.count("Watch", r)
		if s.hooked("Watch", w, r) {
			return
		}
		s.socket(w, r)
	case r.URL.Path == "/graphql" && r.Method == http.MethodPost:
		body, err := io.ReadAll(r.Body)
		var req request
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if err != nil || d.Decode(&req) != nil {
			http.Error(w, "no request", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.count(req.OperationName, r)
		if s.hooked(req.OperationName, w, r) {
			return
		}
		data, err := s.answer(req, bearer(r))
		reply(w, data, err)
	default:
		http.NotFound(w, r)
	}
}

// Set changes exported fields while the server is at work.
func (s *Server) Set(fn func(*Server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(s)
}

func (s *Server) hooked(op string, w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	hook := s.Hook
	s.mu.Unlock()
	return hook != nil && hook(op, w, r)
}

func (s *Server) count(op string, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[op]++
	if r.Header.Get("Authorization") != "" {
		s.sentAuth[op] = true
	}
}

func bearer(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

func reply(w http.ResponseWriter, data any, err error) {
	w.Header().Set("Content-Type", "application/json")
	out := map[string]any{"data": data}
	if err != nil {
		out = map[string]any{"errors": []any{problem(err)}, "data": nil}
	}
	json.NewEncoder(w).Encode(out)
}

func problem(err error) map[string]any {
	ext := map[string]any{"code": fault.KindOf(err)}
	message := err.Error()
	if f, ok := err.(*fault.Error); ok {
		message = f.Message
		if f.RetryAfter > 0 {
			ext["retryAfter"] = f.RetryAfter
		}
		if f.Kind == fault.ObjectsMissing {
			ext["missing"] = base64.StdEncoding.EncodeToString(f.Data)
		}
	}
	return map[string]any{"message": message, "extensions": ext}
}

// upload takes a pack in exactly the form that the real server wants.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	s.count("UploadPack", r)
	if s.hooked("UploadPack", w, r) {
		return
	}
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || r.ContentLength <= 0 {
		reply(w, nil, fault.New(fault.Invalid, "the form"))
		return
	}
	m := multipart.NewReader(r.Body, params["boundary"])
	part := func(name string) (*multipart.Part, []byte, error) {
		p, err := m.NextPart()
		if err != nil {
			return nil, nil, err
		}
		b, err := io.ReadAll(p)
		if err == nil && p.FormName() != name {
			err = fmt.Errorf("part %q instead of %q", p.FormName(), name)
		}
		return p, b, err
	}
	var req request
	_, b, err := part("operations")
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		err = d.Decode(&req)
	}
	if err == nil {
		if _, b, err = part("map"); err == nil && string(b) != `{"0":["variables.input.pack"]}` {
			err = fmt.Errorf("map %s", b)
		}
	}
	if err != nil {
		reply(w, nil, fault.Wrap(err, fault.Invalid, "the form: %v", err))
		return
	}
	p, file, err := part("0")
	if err != nil {
		return // the client is gone
	}
	if p.Header.Get("Content-Length") != fmt.Sprint(len(file)) || input(req)["size"].(json.Number).String() != fmt.Sprint(len(file)) {
		reply(w, nil, fault.New(fault.Invalid, "lengths differ"))
		return
	}
	data, err := s.store(req, bearer(r), file)
	reply(w, data, err)
}

func (s *Server) store(req request, token string, file []byte) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.nextFailure("UploadPack"); ok {
		return nil, &f
	}
	if _, err := s.session(token, input(req)); err != nil {
		return nil, err
	}
	name := id.Pack(sha256.Sum256(file))
	if name.String() != input(req)["name"] {
		return nil, fault.New(fault.HashMismatch, "the pack arrived damaged")
	}
	entries, err := pack.ReadIndex(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, fault.Wrap(err, fault.BadPack, "no pack")
	}
	_, existed := s.packs[name]
	s.packs[name] = file
	for _, e := range entries {
		s.objects[e.ID] = place{name, e}
	}
	return map[string]any{"uploadPack": map[string]any{"existed": existed}}, nil
}

func (s *Server) nextFailure(op string) (fault.Error, bool) {
	list := s.failures[op]
	if len(list) == 0 {
		return fault.Error{}, false
	}
	s.failures[op] = list[1:]
	return list[0], true
}

func (s *Server) servePack(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	name, err := id.ParsePack(strings.TrimPrefix(r.URL.Path, "/packs/"))
	b, ok := s.packs[name]
	gone := s.expired[r.URL.Query().Get("sig")]
	f, fails := s.nextFailure("GET")
	s.mu.Unlock()
	switch {
	case fails:
		http.Error(w, f.Message, http.StatusServiceUnavailable)
	case gone:
		http.Error(w, "expired", http.StatusForbidden)
	case err != nil || !ok:
		http.NotFound(w, r)
	default:
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}
}

// locations answers ObjectLocations.
func (s *Server) locations(ids []byte) any {
	s.serial++
	index := map[id.Pack]uint32{}
	packs := []any{}
	var table []byte
	for ; len(ids) >= 16; ids = ids[16:] {
		p, ok := s.objects[id.Object(ids[:16])]
		if !ok {
			table = append(table, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0)
			continue
		}
		n, seen := index[p.pack]
		if !seen {
			n = uint32(len(packs))
			index[p.pack] = n
			packs = append(packs, map[string]any{
				"name": p.pack.String(), "size": len(s.packs[p.pack]),
				"url": fmt.Sprintf("/packs/%s?sig=%d", p.pack, s.serial), "expiresAt": time.Now().Add(s.Skew + s.URLTTL),
			})
		}
		table = binary.BigEndian.AppendUint32(table, n)
		table = binary.BigEndian.AppendUint32(table, p.e.Offset)
		table = binary.BigEndian.AppendUint32(table, p.e.Length)
	}
	return map[string]any{"packs": packs, "table": table}
}
