// Package agent is the knowing half on a device: it makes accounts and devices, backs up, and brings back.
//
// Every command of holdfast-agent is a function or method here that takes its inputs as values, asks nobody
// anything, prints nothing and returns what a program or a person wants to know; cmd/holdfast-agent parses,
// asks, shows progress and turns errors into words and exit codes (see [Advice]).
//
// Two kinds of credential exist. A device's token, from the state folder, backs up and reports: it needs no
// person ([Backup], [Check]). A person's password or recovery code opens the account for the length of one
// command ([Unlock]): it reads, restores, enrols. What it opened is never written anywhere, and the session
// is ended when the command ends.
package agent

import (
	"context"
	"os"
	"runtime"
	"time"

	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Patience with a server that does not answer: people wait for some seconds, a backup at night for minutes.
const (
	PatienceInteractive = 8 * time.Second
	PatienceBackup      = 5 * time.Minute
)

// Server says which server is meant and how to reach it.
type Server struct {
	URL         string
	Fingerprint string // SHA-256 of its CA certificate; "" for the system's authorities
	PlainHTTP   bool   // allow http:// to another machine

	RetryFor      time.Duration // 0: not at all
	UploadLimit   int64         // bytes a second, 0: none
	DownloadLimit int64
	OnRetry       func(err error, wait time.Duration)
}

// ServerOf returns the server of an enrolled device.
func ServerOf(d *state.Device) Server {
	return Server{URL: d.Server, Fingerprint: d.Fingerprint, PlainHTTP: d.PlainHTTP, RetryFor: PatienceInteractive}
}

// Dial returns a client with a token, or without one if it is "".
func (s Server) Dial(token string) (*remote.Client, error) {
	return remote.Dial(s.URL, s.options(token))
}

func (s Server) options(token string) remote.Options {
	return remote.Options{Token: token, Fingerprint: s.Fingerprint, PlainHTTP: s.PlainHTTP, RetryFor: s.RetryFor,
		UploadLimit: s.UploadLimit, DownloadLimit: s.DownloadLimit, OnRetry: s.OnRetry}
}

// check makes sure that a Holdfast server answers with which this agent can speak.
func (s Server) check(ctx context.Context, c *remote.Client) error {
	_, err := c.Server(ctx)
	return err
}

// hostname returns this machine's name, never empty.
func hostname() string {
	if h, err := os.Hostname(); err == nil && h != "" {
		return h
	}
	return "unknown-" + runtime.GOOS
}

// need returns an error of the usage kind unless ok.
func need(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fault.New(fault.Invalid, format, args...)
}
