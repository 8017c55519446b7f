// Package mailtest is a mail server for tests: it speaks SMTP on a port of loopback, with STARTTLS or TLS under a
// certificate of its own and with AUTH, keeps the mails that it takes, and misbehaves when told to.
package mailtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// Config says what the server offers. The zero value takes mail from everybody without TLS.
type Config struct {
	StartTLS       bool     // offers STARTTLS
	Implicit       bool     // TLS from the first byte
	User, Password string   // User not empty: wants a login before mail, and offers it once the way is protected, or at once without StartTLS
	Mechanisms     []string // ways to log in; nil: PLAIN and LOGIN
	UTF8           bool     // offers SMTPUTF8
}

// Step is a moment of the dialogue at which the server can be told to misbehave.
type Step string

// The steps.
const (
	Connect  Step = "connect" // the greeting
	Hello    Step = "EHLO"
	StartTLS Step = "STARTTLS"
	Auth     Step = "AUTH"
	Mail     Step = "MAIL"
	Rcpt     Step = "RCPT"
	Data     Step = "DATA" // the command
	Body     Step = "body" // the end of the mail
	Quit     Step = "QUIT"
)

// Server is a running mail server. The test's end stops it.
type Server struct {
	cfg    Config
	ln     net.Listener
	tls    *tls.Config
	roots  *x509.CertPool
	closed chan struct{}
	wg     sync.WaitGroup

	mu       sync.Mutex
	conns    map[net.Conn]bool
	steps    map[Step]behaviour
	messages []Message
	arrived  chan struct{} // closed and made anew with every mail
	dialogue []string
}

// behaviour is what happens at a step instead of what should.
type behaviour struct {
	answer string
	hangUp bool
	stall  bool
}

// New starts a server.
func New(t testing.TB, cfg Config) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{cfg: cfg, ln: ln, closed: make(chan struct{}), conns: map[net.Conn]bool{}, steps: map[Step]behaviour{}, arrived: make(chan struct{})}
	if s.cfg.Mechanisms == nil {
		s.cfg.Mechanisms = []string{"PLAIN", "LOGIN"}
	}
	if cfg.StartTLS || cfg.Implicit {
		s.makeCertificate(t)
	}
	s.wg.Go(s.accept)
	t.Cleanup(s.Close)
	return s
}

// Close stops the server and cuts every connection. It is safe to call more than once.
func (s *Server) Close() {
	s.mu.Lock()
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	s.ln.Close()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// makeCertificate makes a certificate that is its own authority, for 127.0.0.1.
func (s *Server) makeCertificate(t testing.TB) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mailtest"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(leaf)
	s.tls = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// Addr is where it listens, host:port.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Roots believes in the server's certificate; nil without TLS.
func (s *Server) Roots() *x509.CertPool { return s.roots }

// URL is the server's address as an operator would write it, with mails from the given address.
func (s *Server) URL(from string) string {
	u := url.URL{Scheme: "smtp", Host: s.Addr()}
	q := url.Values{"from": {from}, "tls": {"none"}}
	switch {
	case s.cfg.Implicit:
		u.Scheme = "smtps"
		q.Del("tls")
	case s.cfg.StartTLS:
		q.Set("tls", "starttls")
	}
	if s.cfg.User != "" {
		u.User = url.UserPassword(s.cfg.User, s.cfg.Password)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Answer makes the server say something else at a step from now on, such as "450 4.2.0 come again later".
func (s *Server) Answer(at Step, reply string) { s.behave(at, behaviour{answer: reply}) }

// HangUp makes the server cut the connection at a step from now on.
func (s *Server) HangUp(at Step) { s.behave(at, behaviour{hangUp: true}) }

// Stall makes the server say nothing at a step from now on, until the client goes.
func (s *Server) Stall(at Step) { s.behave(at, behaviour{stall: true}) }

// Heal makes the server behave again.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.steps)
}

func (s *Server) behave(at Step, b behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps[at] = b
}

// Messages returns the mails that were taken so far.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Wait returns the mails once there are at least n.
func (s *Server) Wait(t testing.TB, n int) []Message {
	t.Helper()
	limit := time.NewTimer(15 * time.Second)
	defer limit.Stop()
	for {
		s.mu.Lock()
		got, arrived := slices.Clone(s.messages), s.arrived
		s.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-arrived:
		case <-limit.C:
			t.Fatalf("%d mails came, want %d", len(got), n)
		}
	}
}

// Dialogue returns the lines that clients said so far, without the mails themselves.
func (s *Server) Dialogue() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.dialogue)
}
