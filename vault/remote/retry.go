package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Backoff: the wait before the nth repetition is drawn from half to one and a half times firstWait·2ⁿ, at
// most maxWait.
const (
	firstWait = 250 * time.Millisecond
	maxWait   = 10 * time.Second
)

// retry calls f until it succeeds, fails for good, or the client's patience is at its end; then the last
// error is returned.
func (c *Client) retry(ctx context.Context, class repeat, f func(ctx context.Context) error) error {
	deadline := time.Now().Add(c.opts.RetryFor)
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		err := f(ctx)
		if err == nil || ctx.Err() != nil || !repeatable(err, class) {
			return err
		}
		pause := time.Duration(float64(wait) * (0.5 + rand.Float64()))
		var flt *fault.Error
		if errors.As(err, &flt) && flt.RetryAfter > 0 {
			pause = max(pause, time.Duration(flt.RetryAfter)*time.Second)
		}
		if time.Now().Add(pause).After(deadline) {
			return err
		}
		if c.opts.OnRetry != nil {
			c.opts.OnRetry(err, pause)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func repeatable(err error, class repeat) bool {
	var cert *CertificateError
	if class == never || errors.As(err, &cert) {
		return false
	}
	kind := fault.KindOf(err)
	if class == ifUnsent {
		// The server said so before it did anything, or it never heard of the call.
		return kind == fault.TooMany || kind == fault.Unavailable && unsent(err)
	}
	return kind == fault.Unavailable || kind == fault.TooMany || kind == fault.HashMismatch
}

// unsent reports whether the connection failed before anything was sent.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// words says in plain language what the network did.
func words(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no machine is known by that name"
	case errors.As(err, &dns):
		return "its name cannot be looked up (is this machine online?)"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there (is the server running?)"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no way leads there (is this machine online?)"
	case errors.As(err, &record), strings.Contains(err.Error(), "gave HTTP response to HTTPS client"):
		return "it does not speak TLS (is it http:// instead of https://?)"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return "it cut the connection"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it does not answer"
	}
	// url.Error repeats method and address, which the sentence has already.
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
