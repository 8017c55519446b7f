//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/depot/replica"
	"github.com/holdfast-backup/holdfast/server"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

func upCommand() *command {
	return &command{
		name: "up", args: "--data DIR [--listen ADDR] [--tls-local | --tls-auto DOMAIN | --tls-cert FILE --tls-key FILE]",
		summary: "run the whole service on this machine",
		long: `
Starts a private PostgreSQL and a private Redis under DIR, brings the database up to date, and runs server and
worker in one process until it is told to stop (Ctrl-C or SIGTERM). The first start prints a link with an
invitation for the first superuser.

With --database-url or --redis-url it uses that server instead of a private one. DIR/secret is made on the
first start: without it no password works any more, so keep a copy of it apart from the database's backups.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			c.place.dataFlag(fs)
			c.listen.flags(fs, "127.0.0.1:8440")
			c.place.storeFlag(fs)
			fs.Lookup("store").Usage += " (default: DIR/store)"
			c.place.replicasFlag(fs)
			c.place.databaseFlag(fs)
			c.place.redisFlag(fs)
			c.place.urlFlag(fs)
			c.place.sessionFlag(fs)
			c.outward.flags(fs)
			c.outward.agentsFlag(fs)
			c.place.secretFlag(fs)
			fs.Lookup("secret-file").Usage += " (default: DIR/secret)"
			logFlags(fs, c)
		},
		run: up,
	}
}

func up(ctx context.Context, c *call) (err error) {
	log, err := c.logger()
	if err != nil {
		return err
	}
	p := &c.place
	if p.data == "" {
		return usagef("say where to keep everything: --data DIR")
	}
	if p.data, err = filepath.Abs(p.data); err != nil {
		return err
	}
	if p.publicURL, err = checkURL(p.publicURL); err != nil {
		return err
	}
	if err := c.listen.check(p.data); err != nil {
		return err
	}
	if err := p.checkSessionTTL(); err != nil {
		return err
	}
	if err := os.MkdirAll(p.data, 0o700); err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot make the data directory")
	}
	l, err := local.Start(ctx, local.Config{Dir: p.data, Log: log, NoPostgres: p.database != "", NoRedis: p.redis != ""})
	if err != nil {
		return err
	}
	defer l.Close()
	go watch(ctx, l, log)
	ln, err := c.listen.open(ctx) // after the lock: a second holdfast on one directory is told about that first
	if err != nil {
		return err
	}
	defer ln.Close()

	if p.secretFile == "" {
		p.secretFile = filepath.Join(p.data, "secret")
	}
	secret, fresh, err := makeSecret(p.secretFile)
	if err != nil {
		return err
	}
	tls, err := c.listen.tls(p.data, p.publicURL)
	if err != nil {
		return err
	}
	set := settings{PublicURL: p.publicURL, Store: p.store, Replicas: p.replicas, DatabaseURL: p.database, RedisURL: p.redis}
	if set.PublicURL == "" {
		set.PublicURL = c.listen.url(ln.Addr(), tls)
	}
	if set.Store == "" {
		set.Store = "file://" + filepath.Join(p.data, "store")
	}
	signer := server.NewSigner(secret)
	cfg := depot.Config{
		DatabaseURL: p.database, RedisURL: p.redis, StoreURL: set.Store,
		Secret: secret, PublicURL: set.PublicURL, SessionTTL: p.sessionTTL, Sign: signer.Sign, Prepare: true, Log: log,
	}
	if cfg.Mail, err = c.outward.mail(); err != nil {
		return err
	}
	if cfg.Recipients, err = c.outward.recipients(); err != nil {
		return err
	}
	if cfg.Replicas, err = replica.ParseURLs(p.replicas); err != nil {
		return err
	}
	if cfg.DatabaseURL == "" {
		cfg.DatabaseURL = l.DatabaseURL()
	}
	if cfg.RedisURL == "" {
		cfg.RedisURL = l.RedisURL()
	}
	d, err := depot.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer d.Close()
	if fresh {
		if err := secretFits(ctx, d, p.secretFile); err != nil {
			return err
		}
	}
	if err := set.write(p.data); err != nil {
		return err
	}
	token, link, needed, err := d.Accounts.SetupInvitation(ctx)
	if err != nil {
		return err
	}
	w := welcome{Version: proto.Version, URL: set.PublicURL, Data: p.data, SetupToken: token, SetupURL: link}
	if tls != nil {
		w.Fingerprint = tls.Fingerprint
	}
	if err := c.print(w, func(out io.Writer) { w.write(out, needed) }); err != nil {
		return err
	}
	return c.serve(ctx, ln, service{depot: d, signer: signer, tls: tls, log: log, worker: true})
}

// secretFits refuses a secret that was just made if there are users already: it cannot be the one that their
// passwords are kept with. The useless file is taken away again, or the next start would believe in it.
func secretFits(ctx context.Context, d *depot.Depot, file string) error {
	page, err := d.Accounts.Users(ctx, actor.System(), 1, "")
	if err != nil || page.TotalCount == 0 {
		return err
	}
	os.Remove(file)
	return fault.New(fault.Conflict, "the secret %s is missing, and with a new one none of the %d users could log in: put the old file back", file, page.TotalCount)
}

// watch logs the deaths of private servers. They are started again by themselves.
func watch(ctx context.Context, l *local.Local, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-l.Err():
			log.Error("a private server ended and is started again", "error", err)
		}
	}
}

// welcome is what up says when it is ready.
type welcome struct {
	Version     string `json:"version"`
	URL         string `json:"url"`
	Data        string `json:"data"`
	SetupToken  string `json:"setup_token,omitempty"`
	SetupURL    string `json:"setup_url,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
}

func (w welcome) write(out io.Writer, needed bool) {
	fmt.Fprintf(out, "Holdfast %s is ready at %s\nIts data is in %s\n", w.Version, w.URL, w.Data)
	if w.Fingerprint != "" {
		fmt.Fprintf(out, `
Its certificate is its own. Agents know it by this fingerprint:

    %s

Browsers trust it once the certificate from %s/download/ca.pem is imported.
`, w.Fingerprint, w.URL)
	}
	if needed {
		pin := ""
		if w.Fingerprint != "" {
			pin = " --fingerprint " + w.Fingerprint
		}
		fmt.Fprintf(out, `
There is no superuser yet. Become the first one, within 7 days and before somebody else uses this link:

    holdfast-agent join '%s'%s --email you@example.org --name 'Your Name'
`, w.SetupURL, pin)
	}
}

// listenFlags say where and how to answer.
type listenFlags struct {
	addr             string
	tlsCert, tlsKey  string
	tlsAuto, proxies []string
	tlsLocal, plain  bool
}

func (l *listenFlags) flags(fs *pflag.FlagSet, addr string) {
	fs.StringVar(&l.addr, "listen", addr, "address to answer on, host:port (`ADDR`)")
	fs.BoolVar(&l.tlsLocal, "tls-local", false, "TLS with a certificate authority of its own, made on the first start; agents pin it")
	fs.StringSliceVar(&l.tlsAuto, "tls-auto", nil, "TLS with certificates from Let's Encrypt for these `DOMAIN`s")
	fs.StringVar(&l.tlsCert, "tls-cert", "", "TLS with the certificate in this PEM `FILE`, which may be renewed while it runs")
	fs.StringVar(&l.tlsKey, "tls-key", "", "PEM `FILE` with the certificate's key")
	fs.BoolVar(&l.plain, "insecure-http", false, "allow plain HTTP on other addresses than loopback: for behind a proxy that does TLS")
	fs.StringSliceVar(&l.proxies, "trust-proxy", nil, "believe X-Forwarded-For of these addresses or `NETWORK`s")
}

// check refuses what does not go together. data is where certificates would be kept.
func (l *listenFlags) check(data string) error {
	host, port, err := net.SplitHostPort(l.addr)
	if err != nil || port == "" {
		return usagef("--listen %s: want host:port, such as 127.0.0.1:8440, or :8440 for all addresses", l.addr)
	}
	ways := 0
	for _, chosen := range l.ways() {
		if chosen {
			ways++
		}
	}
	switch {
	case ways > 1:
		return usagef("choose one of --tls-local, --tls-auto, and --tls-cert with --tls-key")
	case (l.tlsCert == "") != (l.tlsKey == ""):
		return usagef("--tls-cert and --tls-key go together")
	case data == "" && (l.tlsLocal || len(l.tlsAuto) > 0):
		return usagef("--tls-local and --tls-auto need --data DIR, to keep their keys in")
	case ways == 0 && !l.plain && !server.Loopback(host):
		return usagef("plain HTTP on %s would show tokens to the whole network, and browsers refuse to open keys on such a page: choose --tls-local, --tls-auto DOMAIN or --tls-cert and --tls-key; or --insecure-http, behind a proxy that does TLS", l.addr)
	}
	_, err = l.prefixes()
	return err
}

// ways are the three ways of TLS, and whether each was chosen.
func (l *listenFlags) ways() []bool {
	return []bool{l.tlsLocal, len(l.tlsAuto) > 0, l.tlsCert != "" || l.tlsKey != ""}
}

func (l *listenFlags) scheme() string {
	if slices.Contains(l.ways(), true) {
		return "https"
	}
	return "http"
}

func (l *listenFlags) open(ctx context.Context) (net.Listener, error) {
	var cfg net.ListenConfig
	ln, err := cfg.Listen(ctx, "tcp", l.addr)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "cannot listen on %s (is something else using it? then choose another --listen)", l.addr)
	}
	return ln, nil
}

// tls makes the server's identity; nil is plain HTTP.
func (l *listenFlags) tls(data, publicURL string) (t *server.TLS, err error) {
	switch {
	case l.tlsLocal:
		t, err = server.LocalTLS(filepath.Join(data, "tls"), server.LocalHosts(l.addr, publicURL))
	case len(l.tlsAuto) > 0:
		t, err = server.AutoTLS(filepath.Join(data, "acme"), l.tlsAuto...)
	case l.tlsCert != "":
		t, err = server.FileTLS(l.tlsCert, l.tlsKey)
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "cannot set TLS up")
	}
	return t, nil
}

// url is where people most likely find a server that listens on addr.
func (l *listenFlags) url(addr net.Addr, t *server.TLS) string {
	scheme, usual := "http", "80"
	if t != nil {
		scheme, usual = "https", "443"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + "://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	if given, _, _ := net.SplitHostPort(l.addr); given == "localhost" {
		host = given
	}
	if len(l.tlsAuto) > 0 {
		host = l.tlsAuto[0]
	}
	if port == usual {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return scheme + "://" + host
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
