//go:build unix

package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/depot/mail"
	"github.com/holdfast-backup/holdfast/depot/selfbackup"
	"github.com/holdfast-backup/holdfast/server"
	"github.com/holdfast-backup/holdfast/server/metrics"
	"github.com/holdfast-backup/holdfast/server/web"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// outwardFlags say what an installation gives to the world outside: mail, sealed copies of its database, agents, numbers.
type outwardFlags struct {
	smtp, recipient, agents, metricsListen, app string
}

func (o *outwardFlags) flags(fs *pflag.FlagSet) {
	fs.StringVar(&o.smtp, "smtp-url", "", "mail server (`URL`), such as "+mail.Example+"; better in HOLDFAST_SMTP_URL, where nobody sees the password")
	fs.StringVar(&o.recipient, "metadata-recipient", "", "public keys of age (`KEYS`, age1…) for which a copy of the database is sealed into the store every day")
}

func (o *outwardFlags) agentsFlag(fs *pflag.FlagSet) {
	fs.StringVar(&o.agents, "agents", "", "folder with agents to hand out (`DIR`; default: agents beside this program)")
	fs.StringVar(&o.app, "app", "", "folder (`DIR`) with another build of the web app than the one inside, for its developers")
}

// web returns the web app; nil: none was built.
func (o *outwardFlags) web() *web.App {
	if o.app != "" {
		return web.New(os.DirFS(o.app))
	}
	return web.Inside()
}

// mail returns how mail is sent; nil: not at all.
func (o *outwardFlags) mail() (*mail.Config, error) {
	if o.smtp == "" {
		return nil, nil
	}
	cfg, err := mail.ParseURL(o.smtp)
	return &cfg, err
}

func (o *outwardFlags) recipients() ([]age.Recipient, error) {
	return selfbackup.ParseRecipients(o.recipient)
}

// agentsFolder returns the folder with agents: the one that was named, which must be there, or the one beside this program if there is one.
func (o *outwardFlags) agentsFolder() (string, error) {
	if o.agents != "" {
		if info, err := os.Stat(o.agents); err != nil || !info.IsDir() {
			return "", usagef("--agents %s: there is no such folder (make agents writes one)", o.agents)
		}
		return o.agents, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", nil //nolint:nilerr // then there is nothing beside it
	}
	beside := filepath.Join(filepath.Dir(self), "agents")
	if info, err := os.Stat(beside); err != nil || !info.IsDir() {
		return "", nil
	}
	return beside, nil
}

// serveMetrics answers Prometheus for a process that is no server, on an address of this machine.
func serveMetrics(ctx context.Context, addr string, m *metrics.Metrics) error {
	if !server.Loopback(addr) {
		return usagef("--metrics-listen %s: want an address of this machine, such as 127.0.0.1:9440: it asks nobody who they are", addr)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	srv := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { srv.Close() })()
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fault.Wrap(err, fault.Unavailable, "cannot listen on %s for metrics", addr)
	}
	return nil
}
