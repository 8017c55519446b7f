// Package remote reaches a Holdfast server over GraphQL.
//
// A [Client] is one server seen with one credential. It carries the sealed bytes that backup makes and
// restore opens, and the accounts' sealed bundles; it holds no key and opens nothing.
//
// # What a call promises
//
// Every error is a *fault.Error: the server's own, turned back from its code, or fault.Unavailable for
// whatever the network did, with a sentence that a person can act on; only a cancelled context comes back as
// the context's error. What may be repeated without harm is repeated for as long as Options.RetryFor says,
// with jittered exponential backoff: after network errors, 5xx, UNAVAILABLE, RATE_LIMITED (not before the
// time that the server names) and HASH_MISMATCH. Calls that use something up (an invitation, an enrolment
// code) are repeated only if the connection was never made.
//
// No call has a total timeout, since an honest pack may take an hour on a bad line. Instead, a call fails
// when nothing has moved for [Options.Idle].
//
// # Whom it trusts
//
// With a fingerprint, one certificate authority: the one whose certificate has this SHA-256 and is in the
// chain that the server presents; the leaf is verified against it, host name and validity included. Without
// one, the system's authorities. A server behind an authority that nobody knows gives a [CertificateError],
// which holds the fingerprint that was seen. [Options.Unverified] exists for one purpose: opening an
// enrolment offer, whose sealed content then says which fingerprint is right; see agent.Enroll.
package remote

//go:generate go tool genqlient

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// Options says how to reach a server. The zero value works for a server with a public certificate.
type Options struct {
	Token       string // bearer token; "" for calls that need none
	Fingerprint string // SHA-256 of the CA certificate to pin, in hex; "" to trust the system's authorities
	Unverified  bool   // accept any certificate and remember the chain: only to open an enrolment offer
	PlainHTTP   bool   // allow http:// to a host that is not this machine
	UserAgent   string // "" for holdfast-agent/<version>

	RetryFor time.Duration // how long to repeat what may be repeated; 0 for not at all
	Idle     time.Duration // give a call up when nothing moved for so long; 0 for 60 s
	Connect  time.Duration // give a connection attempt up; 0 for 10 s

	UploadLimit   int64 // bytes a second over all packs in flight; 0 for no limit
	DownloadLimit int64

	OnRetry func(err error, wait time.Duration) // told before each repetition; may be nil
}

// Client is one server seen with one credential. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	opts  Options
	api   *http.Client // the server itself
	store *http.Client // other hosts that signed pack URLs may name: system authorities, no token

	up, down *rate.Limiter // nil: no limit

	chain *atomic.Pointer[[]string] // fingerprints of the certificates that the server presented last
	skew  *atomic.Int64             // server's clock minus ours, ns, as the last reply showed it

	owned *objects // what the owner's token reads; see read.go
}

// Dial checks the address and the options and returns a client. It makes no connection yet.
func Dial(address string, opts Options) (*Client, error) {
	base, err := ParseURL(address)
	if err != nil {
		return nil, err
	}
	if base.Scheme == "http" && !opts.PlainHTTP && !loopback(base.Hostname()) {
		return nil, fault.New(fault.Invalid, "%s is not encrypted: passwords' keys and tokens would travel in the clear. Use https://, "+
			"or pass --plain-http if a tunnel protects the way", base)
	}
	if opts.Fingerprint, err = ParseFingerprint(opts.Fingerprint); err != nil {
		return nil, err
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "holdfast-agent/" + proto.Version
	}
	if opts.Idle <= 0 {
		opts.Idle = 60 * time.Second
	}
	if opts.Connect <= 0 {
		opts.Connect = 10 * time.Second
	}
	c := &Client{base: base, opts: opts, up: limiter(opts.UploadLimit), down: limiter(opts.DownloadLimit),
		chain: new(atomic.Pointer[[]string]), skew: new(atomic.Int64)}
	c.owned = c.asOwner()
	c.api = &http.Client{Transport: c.transport(c.tlsConfig()), CheckRedirect: noRedirect}
	c.store = &http.Client{Transport: c.transport(nil), CheckRedirect: noRedirect}
	return c, nil
}

// Close drops idle connections. The client stays usable.
func (c *Client) Close() {
	c.api.CloseIdleConnections()
	c.store.CloseIdleConnections()
}

// URL returns the server's address.
func (c *Client) URL() string { return c.base.String() }

// WithToken returns a client that presents another token over the same connections, within the same limits.
func (c *Client) WithToken(token string) *Client {
	opts := c.opts
	opts.Token = token
	other := &Client{base: c.base, opts: opts, api: c.api, store: c.store, up: c.up, down: c.down, chain: c.chain, skew: c.skew}
	other.owned = other.asOwner()
	return other
}

// ParseURL checks a server's address: http or https, a host, no query or fragment. A missing scheme means
// https, a trailing slash is dropped.
func ParseURL(address string) (*url.URL, error) {
	s := strings.TrimSpace(address)
	if s == "" {
		return nil, fault.New(fault.Invalid, "the server's address is empty")
	}
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return nil, fault.New(fault.Invalid, "%q is not a server's address: want something like https://backup.example.org", address)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fault.New(fault.Invalid, "%q: a server's address begins with https:// (or http:// on this machine)", address)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fault.New(fault.Invalid, "%q: a server's address has no user, query or fragment", address)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

// endpoint returns the address of a path below the server's.
func (c *Client) endpoint(path string) string { return c.base.String() + path }

func (c *Client) transport(t *tlsConfig) *http.Transport {
	dialer := &net.Dialer{Timeout: c.opts.Connect, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       t,
		TLSHandshakeTimeout:   c.opts.Connect,
		MaxIdleConns:          32,
		MaxIdleConnsPerHost:   16, // uploads, heartbeats and questions in flight at once
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
		DisableCompression:    true, // what we move is sealed
		// No HTTP/2: its one connection would share one window among all packs in flight.
	}
}

// noRedirect refuses to follow: a token must not travel to where a reply points, and no honest server of
// ours redirects. The 3xx itself becomes the reply, and an error.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func limiter(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	// A tenth of a second's worth at once: smooth, and still few wake-ups.
	return rate.NewLimiter(rate.Limit(bytesPerSecond), int(min(max(bytesPerSecond/10, 4<<10), 1<<20)))
}

// agentHeader is what proto.HeaderAgent carries.
func agentHeader() string { return fmt.Sprintf("%s/%d", proto.Version, proto.Protocol) }
