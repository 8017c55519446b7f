package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme/autocert"
)

// TLS is how a server proves who it is. A nil TLS is plain HTTP.
type TLS struct {
	Config      *tls.Config
	CA          []byte // PEM of the local CA's certificate, nil without one
	Fingerprint string // SHA-256 of its DER in lower-case hex, which agents pin; "" without one

	// ACME answers the HTTP-01 challenge on port 80 and sends everything else to HTTPS; nil without ACME.
	ACME http.Handler
}

// Times of the local CA's certificates.
const (
	caLife      = 10 * 365 * 24 * time.Hour
	leafLife    = 90 * 24 * time.Hour
	leafRenew   = 30 * 24 * time.Hour // with less than this left, a new one is issued
	clockSkew   = time.Hour           // certificates are valid from this long before they are made
	reloadEvery = time.Minute         // how often certificate files are looked at
)

// baseTLS is common to all ways. Only HTTP/1.1 is offered. Measured with uploads of 16 MiB on two cores: with
// four in flight, as an agent has them, HTTP/1.1 takes 1.0 GB/s and Go's HTTP/2 0.8 to 0.9, which shares one
// connection and its windows among them; alone, 0.7 and 0.8. WebSockets need HTTP/1.1 anyway.
func baseTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
}

// FileTLS serves a certificate and key from PEM files and notices when they are renewed.
func FileTLS(certFile, keyFile string) (*TLS, error) {
	f := &fileCert{cert: certFile, key: keyFile}
	if _, err := f.get(nil); err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	c := baseTLS()
	c.GetCertificate = f.get
	return &TLS{Config: c}, nil
}

// AutoTLS gets certificates for the domains from an ACME authority (Let's Encrypt) and keeps them in dir.
func AutoTLS(dir string, domains ...string) (*TLS, error) {
	if len(domains) == 0 {
		return nil, errors.New("automatic TLS needs a domain")
	}
	for _, d := range domains {
		if net.ParseIP(d) != nil || !strings.Contains(d, ".") || strings.ContainsAny(d, ":/*") {
			return nil, fmt.Errorf("automatic TLS: %q is not a public domain name", d)
		}
	}
	m := &autocert.Manager{Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(dir), HostPolicy: autocert.HostWhitelist(domains...)}
	c := baseTLS()
	c.GetCertificate = m.GetCertificate
	c.NextProtos = append(c.NextProtos, "acme-tls/1")
	return &TLS{Config: c, ACME: m.HTTPHandler(nil)}, nil
}

// LocalTLS issues certificates for the hosts from a CA of its own, which it makes in dir on first use and
// never replaces: agents pin it. The chain that is served includes the CA's certificate, so that they can.
func LocalTLS(dir string, hosts []string) (*TLS, error) {
	if len(hosts) == 0 {
		return nil, errors.New("local TLS needs a host name or address")
	}
	ca, err := loadCA(dir)
	if err != nil {
		return nil, fmt.Errorf("local CA: %w", err)
	}
	ca.hosts = hosts
	if _, err := ca.get(nil); err != nil {
		return nil, fmt.Errorf("local CA: %w", err)
	}
	c := baseTLS()
	c.GetCertificate = ca.get
	sum := sha256.Sum256(ca.cert.Raw)
	return &TLS{
		Config:      c,
		CA:          pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}),
		Fingerprint: hex.EncodeToString(sum[:]),
	}, nil
}

// LocalHosts lists the names and addresses under which a server that listens on addr may be reached: what a
// certificate of the local CA must name. publicURL adds its host.
func LocalHosts(addr, publicURL string) []string {
	var hosts []string
	add := func(h string) {
		if h != "" && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	if u, err := url.Parse(publicURL); err == nil {
		add(u.Hostname())
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	ip := net.ParseIP(host)
	if host != "" && (ip == nil || !ip.IsUnspecified()) {
		add(host)
	} else {
		if name, err := os.Hostname(); err == nil {
			add(name)
		}
		if addrs, err := net.InterfaceAddrs(); err == nil {
			for _, a := range addrs {
				if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
					add(n.IP.String())
				}
			}
		}
	}
	add("localhost")
	add("127.0.0.1")
	add("::1")
	return hosts
}

// fileCert is a certificate in files.
type fileCert struct {
	cert, key string

	mu     sync.Mutex
	looked time.Time
	stamp  [2]time.Time // of the files when they were read
	loaded *tls.Certificate
}

func (f *fileCert) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loaded != nil && time.Since(f.looked) < reloadEvery {
		return f.loaded, nil
	}
	f.looked = time.Now()
	var stamp [2]time.Time
	for i, name := range []string{f.cert, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return f.keep(err)
		}
		stamp[i] = info.ModTime()
	}
	if f.loaded != nil && stamp == f.stamp {
		return f.loaded, nil
	}
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return f.keep(err) // a renewal may be half written: look again in a minute
	}
	f.loaded, f.stamp = &c, stamp
	return f.loaded, nil
}

func (f *fileCert) keep(err error) (*tls.Certificate, error) {
	if f.loaded != nil {
		return f.loaded, nil
	}
	return nil, err
}

// localCA issues leaf certificates.
type localCA struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	hosts []string

	mu   sync.Mutex
	leaf *tls.Certificate
}

// loadCA reads the CA of dir, or makes it if neither of its files is there.
func loadCA(dir string) (*localCA, error) {
	certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	certPEM, certErr := os.ReadFile(certFile)
	keyPEM, keyErr := os.ReadFile(keyFile)
	if errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist) {
		return makeCA(dir, certFile, keyFile)
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, fmt.Errorf("%w (restore the file, or remove both to make a new CA, which every device must then be enrolled with again)", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s and %s do not fit together: %w", certFile, keyFile, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s is not a CA that this program made", certFile)
	}
	return &localCA{cert: pair.Leaf, key: key}, nil
}

func makeCA(dir, certFile, keyFile string) (*localCA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	name := "Holdfast"
	if host, err := os.Hostname(); err == nil {
		name += " on " + host
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, &x509.Certificate{Subject: pkix.Name{CommonName: name}}, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// The key first: a crash between the two leaves a key without a certificate, which loadCA refuses aloud.
	if err := writeNew(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})); err != nil {
		return nil, err
	}
	if err := writeNew(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return nil, err
	}
	return &localCA{cert: cert, key: key}, nil
}

// get gives the leaf certificate, and issues a new one when it is about to expire.
func (ca *localCA) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if ca.leaf != nil && time.Until(ca.leaf.Leaf.NotAfter) > leafRenew {
		return ca.leaf, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	leaf := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: ca.hosts[0]},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range ca.hosts {
		if ip := net.ParseIP(h); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	ca.leaf = &tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: key, Leaf: parsed}
	return ca.leaf, nil
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] &= 0x7f // positive
	return new(big.Int).SetBytes(b)
}

// writeNew writes a file that must not exist yet, for its owner only, and sees it to the disk.
func writeNew(name string, data []byte) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := bytes.NewReader(data).WriteTo(f); err != nil {
		return err
	}
	return f.Sync()
}
