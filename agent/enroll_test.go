package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/remote/remotetest"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const password = "correct horse battery"

// joined makes an account at s and opens it.
func joined(t *testing.T, s *remotetest.Server) (*Account, Server, keyring.RecoveryCode) {
	t.Helper()
	at := Server{URL: s.URL, Fingerprint: s.Fingerprint}
	var code keyring.RecoveryCode
	_, err := Join(t.Context(), at, JoinInput{Token: s.Invite(remotetest.Invite{Email: "ada@example.org", Name: "Ada"}),
		Password: func(string) ([]byte, error) { return []byte(password), nil },
		Recovery: func(_ string, c keyring.RecoveryCode) error { code = c; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	a, err := Unlock(t.Context(), at, "ada@example.org", Secret{Password: []byte(password)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(context.Background()) })
	return a, at, code
}

func dirOf(t *testing.T) *state.Dir {
	t.Helper()
	d, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Somebody between a new device and its server relays everything, with a certificate of their own. The code's
// offer gives them away before anything is registered.
func TestEnrollThroughSomebodyElse(t *testing.T) {
	t.Parallel()
	s := remotetest.NewTLS(t)
	a, _, _ := joined(t, s)
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	between := httptest.NewUnstartedServer(proxy)
	between.TLS, _ = remotetest.Authority(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "127.0.0.1")
	between.StartTLS()
	t.Cleanup(between.Close)

	code, expires, err := a.Code(t.Context())
	if err != nil || time.Until(expires) < time.Minute {
		t.Fatalf("code until %v: %v", expires, err)
	}
	dir := dirOf(t)
	_, err = Enroll(t.Context(), Server{URL: between.URL}, dir, EnrollInput{Name: "laptop", Code: code.String()})
	if !errors.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "in between") {
		t.Errorf("enrolled through somebody else: %v", err)
	}
	if n := s.Calls("RegisterDevice"); n != 0 || dir.Enrolled() {
		t.Errorf("%d devices were registered", n)
	}

	// At the real one the same code does, and pins it.
	d, err := Enroll(t.Context(), Server{URL: s.URL}, dir, EnrollInput{Code: code.String()})
	if err != nil || d.Fingerprint != s.Fingerprint || d.Email != "ada@example.org" || d.Name == "" {
		t.Fatalf("device %+v: %v", d, err)
	}
	st, err := Check(t.Context(), dir, nil)
	if err != nil || st.Reached != nil || st.Accepted != nil || st.Remote.ID != d.ID || st.Running {
		t.Errorf("status %+v: %v", st, err)
	}
	devices, err := a.Devices(t.Context())
	if err != nil || len(devices) != 1 || !devices[0].Genuine || devices[0].Foreign() {
		t.Errorf("devices %+v: %v", devices, err)
	}
	lost, slipped := *devices[0].Device, *devices[0].Device
	lost.PublicKey, slipped.MAC = nil, nil
	for _, c := range []struct {
		d    Device
		want error
	}{{Device{&lost, false}, fault.Conflict}, {Device{&slipped, false}, fault.Forbidden}} {
		if err := mayRestore(c.d, &Snapshot{}); !errors.Is(err, c.want) || c.d.Foreign() != errors.Is(err, fault.Forbidden) {
			t.Errorf("a restore onto a device without its key, or without its proof: %v", err)
		}
	}
}

// A server that shows others a public key that is not the account's is found out by its owner.
func TestSwappedKeys(t *testing.T) {
	t.Parallel()
	s := remotetest.New(t)
	joined(t, s)
	type unchanged struct{} // marks the request that asks for the true reply
	hook := func(op string, w http.ResponseWriter, r *http.Request) bool {
		if op != "Login" || r.Context().Value(unchanged{}) != nil {
			return false
		}
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), unchanged{}, true)))
		body := rec.Body.String()
		const key = `"identityPublic":"`
		if i := strings.Index(body, key); i >= 0 {
			i += len(key) + 10
			c := "A"
			if body[i] == 'A' {
				c = "B"
			}
			body = body[:i] + c + body[i+1:]
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(body))
		return true
	}
	s.Set(func(s *remotetest.Server) { s.Hook = hook })
	_, err := Unlock(t.Context(), Server{URL: s.URL}, "ada@example.org", Secret{Password: []byte(password)})
	if !errors.Is(err, fault.Internal) || !strings.Contains(err.Error(), "public key") {
		t.Errorf("unlocked: %v", err)
	}
}

// A hostile server cannot make a client derive weak keys, or fill its memory.
func TestHostileParameters(t *testing.T) {
	t.Parallel()
	for _, params := range []string{
		`{"salt":"AAAAAAAAAAAAAAAAAAAAAA==","time":1,"memory":8,"threads":1}`,
		`{"salt":"AAAAAAAAAAAAAAAAAAAAAA==","time":1,"memory":2000000000,"threads":1}`,
		`{"salt":"AAAAAAAAAAAAAAAAAAAAAA==","time":-1,"memory":65536,"threads":4}`,
		`{"salt":"AAAAAAAAAAAAAAAAAAAAAA==","time":3,"memory":65536,"threads":4000}`,
		`{"salt":"","time":3,"memory":65536,"threads":4}`,
	} {
		s := remotetest.New(t)
		s.Hook = func(op string, w http.ResponseWriter, r *http.Request) bool {
			if op != "LoginParams" {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{"data":{"loginParams":` + params + `}}`))
			return true
		}
		_, err := Unlock(t.Context(), Server{URL: s.URL}, "ada@example.org", Secret{Password: []byte(password)})
		if !errors.Is(err, fault.Internal) || !strings.Contains(err.Error(), "parameters") {
			t.Errorf("%s: %v", params, err)
		}
		if s.Calls("Login") != 0 {
			t.Errorf("%s: something derived with them was sent", params)
		}
	}
}

// What one backup holds, another is refused; a failed one is remembered.
func TestBackupLocks(t *testing.T) {
	t.Parallel()
	s := remotetest.New(t)
	_, at, code := joined(t, s)
	dir := dirOf(t)
	if _, err := Backup(t.Context(), dir, BackupInput{Paths: []string{t.TempDir()}}); !errors.Is(err, fault.NotFound) {
		t.Errorf("not enrolled: %v", err)
	}
	in := EnrollInput{Email: "ada@example.org", Secret: func() (Secret, error) { return Secret{Recovery: &code}, nil }}
	if _, err := Enroll(t.Context(), at, dir, in); err != nil {
		t.Fatal(err)
	}
	if _, err := Enroll(t.Context(), at, dir, in); !errors.Is(err, fault.Conflict) {
		t.Errorf("twice: %v", err)
	}
	release, err := dir.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), dir, BackupInput{Paths: []string{t.TempDir()}}); !errors.Is(err, fault.Conflict) {
		t.Errorf("two at once: %v", err)
	}
	if st, err := Check(t.Context(), dir, nil); err != nil || !st.Running {
		t.Errorf("status: %+v, %v", st, err)
	}
	release()
	quick := func(s *Server) { s.RetryFor = 0 }
	s.Fail("BeginBackup", fault.New(fault.StorageFull, "full"))
	if _, err := Backup(t.Context(), dir, BackupInput{Paths: []string{t.TempDir()}, Server: quick}); !errors.Is(err, fault.StorageFull) {
		t.Errorf("full: %v", err)
	}
	if l := dir.Last(); l == nil || l.Error != "full" {
		t.Errorf("last: %+v", l)
	}
}
