package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/server"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const loginQuery = `mutation($input: LoginInput!) { login(input: $input) { token user { id } } }`

func (w *world) get(path string, headers ...header) *reply {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, w.web.URL+path, nil)
	w.ok(err)
	return w.send(r, "", headers...)
}

func TestCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("ada", actor.Staff)
	login := input("email", ada.Email, "authKey", b64(ada.AuthKey), "client", "browser", "cookie", true)
	page := header{"Holdfast-Request": "1", "Sec-Fetch-Site": "same-origin", "Origin": w.web.URL}

	for name, h := range map[string]header{
		"no header":       {"Sec-Fetch-Site": "same-origin", "Origin": w.web.URL},
		"no origin":       {"Holdfast-Request": "1"},
		"other site":      {"Holdfast-Request": "1", "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
		"other origin":    {"Holdfast-Request": "1", "Origin": "https://evil.example"},
		"lying same site": {"Holdfast-Request": "1", "Sec-Fetch-Site": "same-site", "Origin": w.web.URL},
		"null origin":     {"Holdfast-Request": "1", "Origin": "null"},
	} {
		if r := w.gql("", loginQuery, login, h); r.code() != fault.Invalid || r.Header.Get("Set-Cookie") != "" {
			t.Errorf("a cookie was given to a page with %s: %s", name, r.Raw)
		}
	}
	r := w.gql("", loginQuery, login, page)
	if r.code() != "" || at(r.Data, "login", "token") != nil {
		t.Fatal(r.Raw)
	}
	set := r.Header.Get("Set-Cookie")
	for _, part := range []string{"holdfast=hfs_", "HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(set, part) {
			t.Errorf("cookie %q lacks %s", set, part)
		}
	}
	cookie, _, _ := strings.Cut(set, ";")
	with := func(h header) header {
		out := header{"Cookie": cookie}
		for k, v := range h {
			out[k] = v
		}
		return out
	}
	if r := w.gql("", `{ me { email } }`, nil, with(page)); at(r.Data, "me", "email") != ada.Email {
		t.Error("our own page:", r.Raw)
	}
	if r := w.get("/graphql?query="+url.QueryEscape(`{ me { email } }`), with(header{"Holdfast-Request": "1", "Sec-Fetch-Site": "same-origin"})); at(r.Data, "me", "email") != ada.Email {
		t.Error("our own page by GET:", r.Raw)
	}
	for name, h := range map[string]header{
		"nothing":      {},
		"no header":    {"Origin": w.web.URL},
		"no origin":    {"Holdfast-Request": "1"},
		"other origin": {"Holdfast-Request": "1", "Origin": "https://evil.example"},
	} {
		if r := w.gql("", `{ me { email } }`, nil, with(h)); r.Status != 403 || r.code() != fault.Forbidden {
			t.Errorf("a cookie with %s: %d %s", name, r.Status, r.Raw)
		}
	}
	// A bearer token goes before a cookie, and needs none of that.
	if r := w.gql(ada.Token, `{ me { email } }`, nil, header{"Cookie": "holdfast=rubbish"}); at(r.Data, "me", "email") != ada.Email {
		t.Error(r.Raw)
	}
	r = w.gql("", `mutation { logout { ok } }`, nil, with(page))
	if !strings.Contains(r.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Error("logout leaves the cookie:", r.Header, r.Raw)
	}
	if r := w.gql("", `{ me { email } }`, nil, with(page)); r.code() != fault.Unauthenticated {
		t.Error("a session after its end:", r.Raw)
	}
	// With a stale cookie one can still log in.
	if r := w.gql("", loginQuery, login, with(page)); r.code() != "" {
		t.Error(r.Raw)
	}
}

func TestCookieOverTLS(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, pgtest.New(t), mem.New(), func(c *server.Config) { c.PublicURL = "https://backup.example.org" })
	ada := w.person("ada", actor.Staff)
	r := w.gql("", loginQuery, input("email", ada.Email, "authKey", b64(ada.AuthKey), "client", "browser", "cookie", true),
		header{"Holdfast-Request": "1", "Origin": "https://backup.example.org"})
	if set := r.Header.Get("Set-Cookie"); !strings.HasPrefix(set, "__Host-holdfast=") || !strings.Contains(set, "Secure") {
		t.Error(set, r.Raw)
	}
}

func TestOperationsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("ada", actor.Staff)
	d := w.device(ada, "laptop")
	bomb := "query { me { ...f0 } } "
	for i := range 60 {
		bomb += fmt.Sprintf("fragment f%d on User { ...f%d ...f%d } ", i, i+1, i+1)
	}
	bomb += "fragment f60 on User { id }"
	for name, tt := range map[string]struct {
		token, query string
		status       int
		code         fault.Kind
	}{
		"does not parse":              {ada.Token, `{ me `, 400, "GRAPHQL_PARSE_FAILED"},
		"unknown field":               {ada.Token, `{ me { password } }`, 400, "GRAPHQL_VALIDATION_FAILED"},
		"missing variable":            {ada.Token, `query($id: ID!) { node(id: $id) { id } }`, 400, "GRAPHQL_VALIDATION_FAILED"},
		"no operation":                {ada.Token, ``, 400, "GRAPHQL_VALIDATION_FAILED"},
		"mistyped id":                 {ada.Token, `{ snapshot(id: "snp_x") { id } }`, 200, fault.Invalid},
		"id of another noun":          {ada.Token, `{ snapshot(id: "` + d.ID.String() + `") { id } }`, 200, fault.Invalid},
		"page too large":              {ada.Token, `{ snapshots(first: 201) { totalCount } }`, 200, fault.Invalid},
		"page of nothing":             {ada.Token, `{ snapshots(first: 0) { totalCount } }`, 200, fault.Invalid},
		"a number of 33 bits":         {ada.Token, `{ snapshots(first: 4294967296) { totalCount } }`, 200, fault.Invalid},
		"bad cursor":                  {ada.Token, `{ snapshots(after: "x") { totalCount } }`, 200, fault.Invalid},
		"bytes that are none":         {ada.Token, `{ objectLocations(input: {ids: "%%"}) { table } }`, 200, fault.Invalid},
		"half an object id":           {ada.Token, `{ objectLocations(input: {ids: "AAAA"}) { table } }`, 200, fault.Invalid},
		"too deep":                    {ada.Token, `{ me { devices { owner { devices { owner { devices { owner { devices { owner { devices { owner { devices { owner { devices { owner { id } } } } } } } } } } } } } } } }`, 413, fault.TooLarge},
		"too many aliases":            {ada.Token, "{ " + strings.Repeat("a: server { time } ", 31) + "}", 413, fault.TooLarge},
		"too many roots":              {ada.Token, "{ " + strings.Repeat("me { id } ", 21) + "}", 413, fault.TooLarge},
		"too costly":                  {ada.Token, `{ me { devices { owner { devices { owner { devices { owner { devices { id } } } } } } } } }`, 413, fault.TooLarge},
		"too many tokens":             {ada.Token, "{ " + strings.Repeat("me { id } ", 900) + "}", 400, "GRAPHQL_PARSE_FAILED"},
		"too long":                    {ada.Token, "{ me { id } } #" + strings.Repeat("x", 40_000), 413, fault.TooLarge},
		"fragments that multiply":     {ada.Token, bomb, 413, fault.TooLarge},
		"fragments in a circle":       {ada.Token, `{ me { ...a } } fragment a on User { ...a }`, 400, "GRAPHQL_VALIDATION_FAILED"},
		"two mutations of nobody's":   {"", `mutation { a: login(input: {email: "a@b.c", authKey: "", client: ""}) { token } b: login(input: {email: "a@b.c", authKey: "", client: ""}) { token } }`, 413, fault.TooLarge},
		"introspection of nobody's":   {"", `{ __schema { types { name } } }`, 401, fault.Unauthenticated},
		"introspection in a fragment": {"", `{ ...q } fragment q on Query { __type(name: "User") { fields { name } } }`, 401, fault.Unauthenticated},
		"subscription by POST":        {ada.Token, `subscription { deviceProgress(device: "x") { id } }`, 400, fault.Invalid},
		"upload by POST":              {d.Token, `mutation { uploadPack(input: {backup: "x", fence: 1, name: "x", size: 1, pack: "x"}) { existed } }`, 400, fault.Invalid},
	} {
		if r := w.gql(tt.token, tt.query, nil); r.code() != tt.code || r.Status != tt.status {
			t.Errorf("%s: %d %.300s\nwant %d %s", name, r.Status, r.Raw, tt.status, tt.code)
		}
	}
	if r := w.gql(ada.Token, `{ __schema { queryType { name } } }`, nil); r.code() != "" {
		t.Error("introspection of a person's:", r.Raw)
	}
	if r := w.get("/graphql?query=" + url.QueryEscape(`{ server { product } }`)); at(r.Data, "server", "product") != "holdfast" {
		t.Error("a query by GET:", r.Raw)
	}
	r, _ := http.NewRequest(http.MethodGet, w.web.URL+"/graphql?query="+url.QueryEscape(`mutation { logout { ok } }`), nil)
	if got := w.send(r, ada.Token); got.code() != fault.Invalid {
		t.Error("a mutation by GET:", got.Raw)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("ada", actor.Staff)
	d := w.device(ada, "laptop")
	post := func(token, contentType, body string) *reply {
		r, _ := http.NewRequest(http.MethodPost, w.web.URL+"/graphql", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		return w.send(r, token)
	}
	const j = "application/json"
	pad := func(n int) string {
		return `{"query":"{ me { id } }","variables":{"x":"` + strings.Repeat("x", n) + `"}}`
	}
	for name, tt := range map[string]struct {
		r      *reply
		status int
		code   fault.Kind
	}{
		"no JSON":              {post(ada.Token, j, `password=hunter2`), 400, fault.Invalid},
		"an array":             {post(ada.Token, j, `[{"query":"{ me { id } }"}]`), 400, fault.Invalid},
		"two objects":          {post(ada.Token, j, `{"query":"{ me { id } }"} {}`), 400, fault.Invalid},
		"a form":               {post(ada.Token, "application/x-www-form-urlencoded", `query=x`), 415, fault.Invalid},
		"text":                 {post(ada.Token, "text/plain", `{"query":"{ me { id } }"}`), 415, fault.Invalid},
		"too large, nobody":    {post("", j, pad(65<<10)), 413, fault.TooLarge},
		"too large, a person":  {post(ada.Token, j, pad(1<<20)), 413, fault.TooLarge},
		"too large, a device":  {post(d.Token, j, pad(12<<20)), 413, fault.TooLarge},
		"large, but a device":  {post(d.Token, j, strings.Replace(pad(2<<20), "me { id }", "thisDevice { id }", 1)), 200, ""},
		"empty":                {post(ada.Token, j, ``), 400, fault.Invalid},
		"variables of no kind": {post(ada.Token, j, `{"query":"{ me { id } }","variables":[1]}`), 400, fault.Invalid},
	} {
		if tt.r.Status != tt.status || tt.r.code() != tt.code {
			t.Errorf("%s: %d %.300s, want %d %s", name, tt.r.Status, tt.r.Raw, tt.status, tt.code)
		}
		if strings.Contains(tt.r.Raw, "hunter2") {
			t.Errorf("%s: the answer repeats the request", name)
		}
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodOptions} {
		r, _ := http.NewRequest(method, w.web.URL+"/graphql", nil)
		if got := w.send(r, ada.Token); got.Status != 405 {
			t.Errorf("%s: %d", method, got.Status)
		}
	}
}

func TestOldAgents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.device(w.person("ada", actor.Staff), "laptop")
	for _, h := range []string{"0.0.1/0", "0.0.1", "0.0.1/x", "/", "0.0.1/-1"} {
		if r := w.gql(d.Token, `{ thisDevice { id } }`, nil, header{"Holdfast-Agent": h}); r.code() != fault.ClientTooOld {
			t.Errorf("%q: %s", h, r.Raw)
		}
		if r := w.gql("", `{ server { minProtocol } __typename }`, nil, header{"Holdfast-Agent": h}); r.code() != "" {
			t.Errorf("%q: %s", h, r.Raw)
		}
	}
	if r := w.gql(d.Token, `{ thisDevice { agentVersion lastSeenAt } }`, nil, header{"Holdfast-Agent": "0.9.9/1"}); at(r.Data, "thisDevice", "agentVersion") != "0.9.9" || at(r.Data, "thisDevice", "lastSeenAt") == nil {
		t.Error("the visit was not noted:", r.Raw)
	}
}

// TestInternalErrors breaks the database: clients learn a request id and nothing else.
func TestInternalErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("ada", actor.Staff)
	if _, err := w.db.Exec(`ALTER TABLE snapshots RENAME COLUMN manifest TO manifestx`); err != nil {
		t.Fatal(err)
	}
	w.device(ada, "laptop")
	r := w.gql(ada.Token, `{ devices { latestSnapshot { id } } }`, nil)
	if r.code() != fault.Internal && r.code() != fault.Unavailable || strings.Contains(r.Raw, "manifest") || strings.Contains(r.Raw, "pq:") {
		t.Error(r.Raw)
	}
	if id := r.Header.Get("X-Request-Id"); r.code() == fault.Internal && (!strings.Contains(r.Raw, id) || len(id) < 8) {
		t.Errorf("%s does not name the request %s", r.Raw, id)
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, pgtest.New(t), mem.New(), func(c *server.Config) { c.TrustProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	ask := func(from string) *reply {
		return w.gql("", `{ loginParams(email: "a@example.org") { time } }`, nil, header{"X-Forwarded-For": "198.51.100.9, " + from})
	}
	var refused *reply
	for range 400 {
		if refused = ask("203.0.113.7"); refused.code() != "" {
			break
		}
	}
	if refused.code() != fault.TooMany || refused.Status != 429 || refused.Header.Get("Retry-After") == "" || refused.Errors[0].Extensions["retryAfter"] == nil {
		t.Fatal(refused.Status, refused.Raw)
	}
	if r := ask("203.0.113.8"); r.code() != "" {
		t.Error("another address is throttled, too:", r.Raw)
	}
	if r := w.gql("", `{ server { time } }`, nil, header{"X-Forwarded-For": "203.0.113.7"}); r.code() != "" {
		t.Error("server is throttled:", r.Raw)
	}
	if !strings.Contains(w.log.String(), "address=203.0.113.7") || strings.Contains(w.log.String(), "address=198.51.100.9") {
		t.Error("the log has another address than the proxy saw")
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	local, err := server.LocalTLS(t.TempDir(), []string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	bad := errors.New("dial unix /secret/place: refused")
	w := newWorldOn(t, pgtest.New(t), mem.New(), func(c *server.Config) {
		c.TLS = local // for what it says; the listener of this test is plain
		c.Probes = []server.Probe{
			{Name: "database", Check: func(context.Context) error { return nil }},
			{Name: "store", Check: func(context.Context) error { return bad }},
		}
	})
	html := header{"Accept": "text/html,*/*"}
	for path, want := range map[string][]string{
		"/":           {"holdfast-agent join", local.Fingerprint, "/download/ca.pem"},
		"/setup":      {"holdfast-agent join", "superuser", "recovery code"},
		"/join":       {"You are invited", "recovery code"},
		"/no/where":   {"There is nothing at this address"},
		"/style.css":  {"prefers-color-scheme"},
		"/graphql/up": {"There is nothing"},
	} {
		r := w.get(path, html)
		for _, s := range want {
			if !strings.Contains(r.Raw, s) {
				t.Errorf("%s lacks %q", path, s)
			}
		}
		if strings.Contains(r.Raw, "<script") || strings.Contains(r.Raw, "ZgotmplZ") {
			t.Errorf("%s: %s", path, r.Raw)
		}
		for _, h := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options", "X-Request-Id"} {
			if r.Header.Get(h) == "" {
				t.Errorf("%s lacks the header %s", path, h)
			}
		}
		if r.Header.Get("Strict-Transport-Security") != "" {
			t.Error("HSTS with a local CA keeps people from getting its certificate")
		}
	}
	if r := w.get("/", header{"Host": `"><script>alert(1)</script>`}); strings.Contains(r.Raw, "<script") {
		t.Error("the Host is not escaped")
	}
	if r := w.get("/no/where"); r.Status != 404 || r.code() != fault.NotFound {
		t.Error(r.Status, r.Raw)
	}
	if r := w.get("/download/ca.pem"); r.Raw != string(local.CA) {
		t.Error(r.Raw)
	}
	if r := w.get("/healthz"); r.Status != 200 {
		t.Error(r.Raw)
	}
	r := w.get("/readyz")
	var ready struct {
		OK     bool
		Checks map[string]bool
	}
	if err := json.Unmarshal([]byte(r.Raw), &ready); err != nil || r.Status != 503 || ready.OK || !ready.Checks["database"] || ready.Checks["store"] {
		t.Error(r.Status, r.Raw)
	}
	if strings.Contains(r.Raw, "secret") || !strings.Contains(w.log.String(), "/secret/place") {
		t.Error("the cause belongs in the log, and only there")
	}
	if r := w.gql("", `{ server { fingerprint } }`, nil); at(r.Data, "server", "fingerprint") != local.Fingerprint {
		t.Error(r.Raw)
	}
}
