package remote

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

type tlsConfig = tls.Config

// CertificateError says why a server's certificate was refused. It is found by errors.As in the
// fault.Unavailable that a call returns, and no call is repeated after it.
type CertificateError struct {
	Host   string
	Reason string // a sentence that says what to do
	// Fingerprint of the authority that the server presented, in hex; "" if it presented none that could
	// be pinned.
	Fingerprint string
	// Pinned: another fingerprint was expected.
	Pinned bool
	Err    error
}

// Error returns the reason.
func (e *CertificateError) Error() string { return e.Reason }

// Unwrap returns what the verification said.
func (e *CertificateError) Unwrap() error { return e.Err }

// ParseFingerprint checks a SHA-256 in hex; colons, blanks and case are tolerated. "" stays "".
func ParseFingerprint(s string) (string, error) {
	f := strings.ToLower(strings.NewReplacer(":", "", " ", "", "-", "").Replace(s))
	if f == "" {
		return "", nil
	}
	if b, err := hex.DecodeString(f); err != nil || len(b) != sha256.Size {
		return "", fault.New(fault.Invalid, "%q is not a fingerprint: want the 64 hexadecimal digits that the server printed when it started", s)
	}
	return f, nil
}

// tlsConfig verifies by hand, in VerifyConnection: the standard verification cannot pin, and its errors do
// not carry the chain that we want to show. InsecureSkipVerify switches off nothing but the standard one.
func (c *Client) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:                  tls.VersionTLS12,
		InsecureSkipVerify:          true,
		VerifyConnection:            c.verify,
		DynamicRecordSizingDisabled: true, // whole records from the first byte: we move packs, not pages
		ClientSessionCache:          tls.NewLRUClientSessionCache(8),
	}
}

func (c *Client) verify(cs tls.ConnectionState) error {
	chain := cs.PeerCertificates
	if len(chain) == 0 {
		return errors.New("the server presented no certificate")
	}
	seen := make([]string, len(chain))
	for i, cert := range chain {
		sum := sha256.Sum256(cert.Raw)
		seen[i] = hex.EncodeToString(sum[:])
	}
	c.chain.Store(&seen)
	if c.opts.Unverified {
		return nil
	}
	host := c.base.Hostname()
	v := x509.VerifyOptions{DNSName: host, Intermediates: x509.NewCertPool()}
	for _, cert := range chain[1:] {
		v.Intermediates.AddCert(cert)
	}
	if want := c.opts.Fingerprint; want != "" {
		i := slices.Index(seen, want)
		if i < 0 {
			return &CertificateError{Host: host, Fingerprint: authority(chain, seen), Pinned: true, Reason: fmt.Sprintf(
				"%s presents another certificate authority (%s) than the one pinned for it (%s). Somebody may be in between, or the server was set up anew: "+
					"ask its administrator for the fingerprint, and only if it is the new one, enrol this device again with --fingerprint",
				host, orNone(authority(chain, seen)), want)}
		}
		v.Roots = x509.NewCertPool()
		v.Roots.AddCert(chain[i])
	}
	if _, err := chain[0].Verify(v); err != nil {
		return c.refuse(host, chain, seen, err)
	}
	return nil
}

// refuse turns a failed verification into words.
func (c *Client) refuse(host string, chain []*x509.Certificate, seen []string, err error) error {
	e := &CertificateError{Host: host, Fingerprint: authority(chain, seen), Err: err}
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		cert, now := invalid.Cert, time.Now()
		if cert == nil {
			cert = chain[0]
		}
		state := "has expired"
		if now.Before(cert.NotBefore) {
			state = "is not valid yet"
		}
		e.Reason = fmt.Sprintf("the certificate of %s %s: it is valid from %s to %s, and this machine's clock says %s. "+
			"If the clock is wrong, set it; otherwise the server needs a new certificate", host, state,
			cert.NotBefore.Local().Format(time.DateTime), cert.NotAfter.Local().Format(time.DateTime), now.Format(time.DateTime))
	case errors.As(err, &name):
		e.Reason = fmt.Sprintf("the certificate was not made for %s but for %s: use the name that the server was set up with", host, names(chain[0]))
	case errors.As(err, &unknown) && e.Fingerprint != "" && c.opts.Fingerprint == "":
		e.Reason = fmt.Sprintf("%s has a certificate from an authority that this machine does not know. Its fingerprint is\n    %s\n"+
			"If the server printed the same one when it started, pass --fingerprint %s", host, e.Fingerprint, e.Fingerprint)
	case errors.As(err, &unknown):
		e.Reason = fmt.Sprintf("%s has a certificate from an authority that this machine does not know, and presents none that could be pinned", host)
	default:
		e.Reason = fmt.Sprintf("the certificate of %s is not valid: %v", host, err)
	}
	return e
}

// authority returns the fingerprint of the certificate in the chain that is worth pinning: the last
// self-signed one, "" if none is.
func authority(chain []*x509.Certificate, seen []string) string {
	for i := len(chain) - 1; i >= 0; i-- {
		if chain[i].CheckSignatureFrom(chain[i]) == nil || selfSigned(chain[i]) {
			return seen[i]
		}
	}
	return ""
}

// selfSigned also accepts a lone certificate without the CA bit.
func selfSigned(c *x509.Certificate) bool {
	return string(c.RawIssuer) == string(c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func names(c *x509.Certificate) string {
	list := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		return "no name at all"
	}
	if len(list) > 6 {
		list = append(list[:6], "…")
	}
	return strings.Join(list, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Presented returns the fingerprints of the certificates that the server presented on the newest
// connection, the leaf first; none over plain HTTP or before the first call.
func (c *Client) Presented() []string {
	if p := c.chain.Load(); p != nil {
		return slices.Clone(*p)
	}
	return nil
}

// pinnable returns the fingerprint that another device needs to trust this server as this client does: the
// pinned one, or the local authority that the server names if it is in the verified chain.
func (c *Client) pinnable(named string) string {
	if c.opts.Fingerprint != "" {
		return c.opts.Fingerprint
	}
	if !c.opts.Unverified && slices.Contains(c.Presented(), named) {
		return named
	}
	return ""
}

// Pin returns the fingerprint to hand to a new device together with this server's address: "" when the
// server's certificate is a public one.
func (c *Client) Pin(ctx context.Context) (string, error) {
	info, err := c.Server(ctx)
	if err != nil {
		return "", err
	}
	return c.pinnable(info.Fingerprint), nil
}
