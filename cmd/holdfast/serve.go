//go:build unix

package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/replica"
	"github.com/holdfast-backup/holdfast/graph"
	"github.com/holdfast-backup/holdfast/server"
	"github.com/holdfast-backup/holdfast/server/metrics"
	"github.com/holdfast-backup/holdfast/worker"
)

func serverCommand() *command {
	return &command{
		name: "server", args: "--database-url URL --redis-url URL --store URL --secret-file FILE [--listen ADDR] [TLS]",
		summary: "run a server; any number of them may share one database, Redis and store",
		long:    "Needs an up-to-date database (holdfast migrate) and at least one holdfast worker beside it.",
		flags: func(fs *pflag.FlagSet, c *call) {
			partFlags(fs, c)
			c.listen.flags(fs, "127.0.0.1:8440")
			c.outward.agentsFlag(fs)
			c.place.urlFlag(fs)
			fs.StringVar(&c.place.data, "data", "", "directory (`DIR`) for the keys of --tls-local and --tls-auto")
		},
		run: func(ctx context.Context, c *call) error {
			p := &c.place
			var err error
			if p.publicURL, err = checkURL(p.publicURL); err != nil {
				return err
			}
			if err := c.listen.check(p.data); err != nil {
				return err
			}
			svc, err := c.openPart(ctx)
			if err != nil {
				return err
			}
			defer svc.depot.Close()
			if svc.tls, err = c.listen.tls(p.data, p.publicURL); err != nil {
				return err
			}
			ln, err := c.listen.open(ctx)
			if err != nil {
				return err
			}
			defer ln.Close()
			return c.serve(ctx, ln, svc)
		},
	}
}

func workerCommand() *command {
	return &command{
		name: "worker", args: "--database-url URL --redis-url URL --store URL --secret-file FILE",
		summary: "run a worker: the periodic care of an installation; any number of them may share it",
		flags: func(fs *pflag.FlagSet, c *call) {
			partFlags(fs, c)
			c.place.urlFlag(fs)
			fs.StringVar(&c.outward.metricsListen, "metrics-listen", "", "answer Prometheus at /metrics on this address of this machine (`ADDR`)")
		},
		run: func(ctx context.Context, c *call) error {
			var err error
			if c.place.publicURL, err = checkURL(c.place.publicURL); err != nil {
				return err
			}
			if c.outward.smtp != "" && c.place.publicURL == "" {
				return usagef("--public-url is missing: mails lead people to where they open the server")
			}
			svc, err := c.openPart(ctx)
			if err != nil {
				return err
			}
			defer svc.depot.Close()
			svc.worker = true
			return c.serve(ctx, nil, svc)
		},
	}
}

// partFlags are those of a part of an installation on many machines.
func partFlags(fs *pflag.FlagSet, c *call) {
	c.place.databaseFlag(fs)
	c.place.redisFlag(fs)
	c.place.storeFlag(fs)
	c.place.replicasFlag(fs)
	c.place.secretFlag(fs)
	c.place.sessionFlag(fs)
	c.outward.flags(fs)
	logFlags(fs, c)
}

// openPart opens the depot for a server or a worker, which need all of it.
func (c *call) openPart(ctx context.Context) (service, error) {
	log, err := c.logger()
	if err != nil {
		return service{}, err
	}
	p := c.place
	for _, f := range []struct{ flag, value string }{
		{"--database-url", p.database}, {"--redis-url", p.redis}, {"--store", p.store}, {"--secret-file", p.secretFile},
	} {
		if f.value == "" {
			return service{}, usagef("%s is missing", f.flag)
		}
	}
	if err := p.checkSessionTTL(); err != nil {
		return service{}, err
	}
	secret, err := readSecret(p.secretFile)
	if err != nil {
		return service{}, err
	}
	url := p.publicURL
	if url == "" {
		url = c.listen.scheme() + "://" + c.listen.addr
	}
	signer := server.NewSigner(secret)
	cfg := depot.Config{
		DatabaseURL: p.database, RedisURL: p.redis, StoreURL: p.store,
		Secret: secret, PublicURL: url, SessionTTL: p.sessionTTL, Sign: signer.Sign, Log: log,
	}
	if cfg.Mail, err = c.outward.mail(); err != nil {
		return service{}, err
	}
	if cfg.Recipients, err = c.outward.recipients(); err != nil {
		return service{}, err
	}
	if cfg.Replicas, err = replica.ParseURLs(p.replicas); err != nil {
		return service{}, err
	}
	d, err := depot.Open(ctx, cfg)
	if err != nil {
		return service{}, err
	}
	if err := d.CheckSchema(ctx); err != nil {
		d.Close()
		return service{}, err
	}
	return service{depot: d, signer: signer, log: log}, nil
}

// service is what runs until it is told to stop.
type service struct {
	depot  *depot.Depot
	signer *server.Signer
	tls    *server.TLS
	log    *slog.Logger
	worker bool
}

// serve runs a server on ln (unless that is nil) and a worker (if asked to) until ctx is over or one of
// them fails.
func (c *call) serve(ctx context.Context, ln net.Listener, svc service) error {
	g, ctx := errgroup.WithContext(ctx)
	numbers := metrics.New(svc.depot.Gauges, svc.log)
	if ln != nil {
		proxies, err := c.listen.prefixes()
		if err != nil {
			return err
		}
		agents, err := c.outward.agentsFolder()
		if err != nil {
			return err
		}
		d := svc.depot
		cfg := server.Config{
			API:          graph.Over(d),
			Authenticate: d.Authenticate,
			Seen:         d.Fleet.Seen,
			Signer:       svc.signer,
			Metrics:      numbers,
			Agents:       agents,
			Probes:       []server.Probe{{Name: "depot", Check: d.Ready}},
			TLS:          svc.tls,
			PublicURL:    c.place.publicURL,
			TrustProxies: proxies,
			Log:          svc.log,
		}
		if a := c.outward.web(); a != nil {
			cfg.App = a.Serve
		}
		s := server.New(cfg)
		g.Go(func() error { return s.Serve(ctx, ln) })
		if svc.tls != nil && svc.tls.ACME != nil {
			g.Go(func() error { serveACME(ctx, svc); return nil })
		}
		svc.log.Info("serving", "address", ln.Addr().String(), "tls", svc.tls != nil)
	}
	if svc.worker {
		g.Go(func() error {
			return worker.Run(ctx, worker.Config{Depot: svc.depot, Redis: svc.depot.Redis, Metrics: numbers, Log: svc.log})
		})
		if addr := c.outward.metricsListen; addr != "" {
			g.Go(func() error { return serveMetrics(ctx, addr, numbers) })
		}
	}
	err := g.Wait()
	if err == nil || errors.Is(err, context.Canceled) {
		svc.log.Info("stopped")
		return nil
	}
	return err
}

// serveACME answers challenges on port 80. Without it certificates still come over port 443.
func serveACME(ctx context.Context, svc service) {
	srv := &http.Server{Addr: ":80", Handler: svc.tls.ACME, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, WriteTimeout: 30 * time.Second}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		svc.log.Warn("port 80 is not ours: visitors there are not sent to HTTPS", "error", err)
	}
}

// prefixes reads --trust-proxy: networks, or single addresses.
func (l *listenFlags) prefixes() ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, s := range l.proxies {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, e := netip.ParseAddr(s)
			if e != nil {
				return nil, usagef("--trust-proxy %s: want an address or a network such as 10.0.0.0/8", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		list = append(list, p.Masked())
	}
	return list, nil
}
