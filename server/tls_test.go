package server

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLocalTLS(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tls")
	local, err := LocalTLS(dir, []string{"backup.example.org", "127.0.0.1", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := LocalTLS(dir, []string{"other"})
	if err != nil || again.Fingerprint != local.Fingerprint {
		t.Fatalf("a second start has CA %s, %v; the first had %s", again.Fingerprint, err, local.Fingerprint)
	}
	if info, err := os.Stat(filepath.Join(dir, "ca.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}

	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	srv.TLS = local.Config
	srv.StartTLS()
	defer srv.Close()
	block, _ := pem.Decode(local.CA)
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(ca.Raw)
	if hex.EncodeToString(sum[:]) != local.Fingerprint {
		t.Fatal("the fingerprint is not the CA's")
	}
	if left := time.Until(ca.NotAfter); left < 9*365*24*time.Hour {
		t.Fatalf("the CA lives %v", left)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	// httptest prepends its own certificate list, so dial by hand.
	conn, err := tls.Dial("tcp", srv.Listener.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "backup.example.org", NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	state := conn.ConnectionState()
	if n := len(state.PeerCertificates); n != 2 || !state.PeerCertificates[1].Equal(ca) {
		t.Fatalf("%d certificates, and the last is not the CA: agents cannot pin it", n)
	}
	if state.NegotiatedProtocol != "http/1.1" {
		t.Fatalf("negotiated %q", state.NegotiatedProtocol)
	}
	if leaf := state.PeerCertificates[0]; time.Until(leaf.NotAfter) > leafLife || leaf.IsCA {
		t.Fatal("a leaf that lives too long, or is a CA")
	}
}

func TestLocalTLSRenewsItsLeaf(t *testing.T) {
	t.Parallel()
	ca, err := loadCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ca.hosts = []string{"localhost"}
	first, _ := ca.get(nil)
	if same, _ := ca.get(nil); same != first {
		t.Fatal("a fresh leaf was replaced")
	}
	first.Leaf.NotAfter = time.Now().Add(leafRenew - time.Minute)
	if next, err := ca.get(nil); err != nil || next == first {
		t.Fatal("a leaf that is about to expire was kept", err)
	}
}

func TestLocalTLSNeverReplacesItsCA(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"ca.pem", "ca.key"} {
		dir := t.TempDir()
		if _, err := LocalTLS(dir, []string{"localhost"}); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(dir, lost))
		if _, err := LocalTLS(dir, []string{"localhost"}); err == nil || !strings.Contains(err.Error(), lost) {
			t.Errorf("without %s: %v", lost, err)
		}
		os.WriteFile(filepath.Join(dir, lost), []byte("rubbish"), 0o600)
		if _, err := LocalTLS(dir, []string{"localhost"}); err == nil {
			t.Errorf("with rubbish in %s: no error", lost)
		}
	}
	if _, err := LocalTLS(t.TempDir(), nil); err == nil {
		t.Error("no hosts: no error")
	}
}

func TestFileTLSNoticesRenewal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	write := func() {
		sub := t.TempDir()
		if _, err := loadCA(sub); err != nil {
			t.Fatal(err)
		}
		for from, to := range map[string]string{"ca.pem": certFile, "ca.key": keyFile} {
			b, _ := os.ReadFile(filepath.Join(sub, from))
			os.WriteFile(to, b, 0o600)
		}
	}
	if _, err := FileTLS(certFile, keyFile); err == nil {
		t.Fatal("missing files: no error")
	}
	write()
	f := &fileCert{cert: certFile, key: keyFile}
	first, err := f.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	write()
	os.Chtimes(certFile, time.Time{}, time.Now().Add(time.Second))
	if same, _ := f.get(nil); same != first {
		t.Fatal("looked again within the minute")
	}
	f.looked = time.Time{}
	if next, err := f.get(nil); err != nil || next == first {
		t.Fatal("the renewed certificate was not read", err)
	}
	os.Remove(keyFile)
	f.looked = time.Time{}
	if kept, err := f.get(nil); err != nil || kept == nil {
		t.Fatal("a missing file took the certificate away", err)
	}
}

func TestAutoTLSRefuses(t *testing.T) {
	t.Parallel()
	for _, domains := range [][]string{{}, {"localhost"}, {"10.0.0.1"}, {"*.example.org"}, {"https://example.org"}} {
		if _, err := AutoTLS(t.TempDir(), domains...); err == nil {
			t.Errorf("%v: no error", domains)
		}
	}
	if a, err := AutoTLS(t.TempDir(), "backup.example.org"); err != nil || a.ACME == nil || !slices.Contains(a.Config.NextProtos, "acme-tls/1") {
		t.Error(a, err)
	}
}

func TestLocalHosts(t *testing.T) {
	t.Parallel()
	got := LocalHosts("192.0.2.7:8440", "https://backup.example.org:8440")
	for _, want := range []string{"192.0.2.7", "backup.example.org", "localhost", "127.0.0.1"} {
		if !slices.Contains(got, want) {
			t.Errorf("%v lacks %s", got, want)
		}
	}
	if got := LocalHosts(":8440", ""); len(got) < 3 || slices.Contains(got, "") {
		t.Error(got)
	}
}
