package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// mac is HMAC-SHA256 under the pepper, with a label that keeps its uses apart.
func (s *Service) mac(label string, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, s.pepper)
	h.Write([]byte(label))
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return h.Sum(nil)
}

// place is what the throttle takes for one place: an IPv4 address, or the IPv6 network that one household or
// office usually gets whole.
func place(address string) string {
	address = strings.TrimSpace(address)
	if ap, err := netip.ParseAddrPort(address); err == nil {
		address = ap.Addr().String()
	}
	a, err := netip.ParseAddr(address)
	if err != nil {
		return "elsewhere"
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.String()
	}
	return a.String()
}

// bucket is one count of failures.
type bucket struct {
	key  []byte
	free int // failures that cost nothing
}

// attempt is a login that is being tried, already counted as failed.
type attempt struct {
	ids  []int64 // of the counted failures
	main []byte  // the key of the account's own count, which a success forgets
}

// try counts an attempt of an account at a place, or refuses it as RATE_LIMITED with the seconds to wait.
func (s *Service) try(ctx context.Context, emailKey, address string) (*attempt, error) {
	where := place(address)
	var a *attempt
	err := pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error {
		known, err := isKnownPlace(ctx, tx, emailKey, s.mac("place", []byte(where)), s.now().Add(-s.limits.KnownPlace))
		if err != nil {
			return err
		}
		var buckets []bucket
		if known {
			buckets = []bucket{{s.mac("failures at a known place", []byte(emailKey), []byte(where)), s.limits.FailuresFree}}
		} else {
			buckets = []bucket{
				{s.mac("failures of an account", []byte(emailKey)), s.limits.FailuresFree},
				{s.mac("failures from a place", []byte(where)), s.limits.AddressFailuresFree},
			}
		}
		a, err = s.count(ctx, tx, buckets)
		return err
	})
	return a, err
}

// tryAgain counts an attempt of somebody who is logged in to show their password again.
func (s *Service) tryAgain(ctx context.Context, user []byte) (*attempt, error) {
	var a *attempt
	err := pg.InTx(ctx, s.db, func(tx *sqlx.Tx) (err error) {
		a, err = s.count(ctx, tx, []bucket{{s.mac("failures in a session", user), s.limits.FailuresFree}})
		return err
	})
	return a, err
}

// count writes a failure into each bucket, or none if one of them says to wait. The first bucket is the
// account's own.
func (s *Service) count(ctx context.Context, tx *sqlx.Tx, buckets []bucket) (*attempt, error) {
	a := &attempt{main: buckets[0].key}
	slices.SortFunc(buckets, func(x, y bucket) int { return slices.Compare(x.key, y.key) }) // one order of locks for all
	now := s.now()
	for _, b := range buckets {
		n, last, err := failures(ctx, tx, b.key, now.Add(-s.limits.FailureWindow))
		if err != nil {
			return nil, err
		}
		if wait := last.Add(s.wait(n, b.free)).Sub(now); n > 0 && wait > 0 {
			f := fault.New(fault.TooMany, "too many failed logins: try again in %s", words(wait))
			f.RetryAfter = int((wait + time.Second - 1) / time.Second)
			return nil, f
		}
	}
	for _, b := range buckets {
		id, err := addFailure(ctx, tx, b.key, now)
		if err != nil {
			return nil, err
		}
		a.ids = append(a.ids, id)
	}
	return a, nil
}

// wait is the time that must pass after the n-th failure: none, then 1, 2, 4 … seconds.
func (s *Service) wait(n, free int) time.Duration {
	if n < free {
		return 0
	}
	if n-free >= 20 {
		return s.limits.LongestWait
	}
	return min(time.Second<<(n-free), s.limits.LongestWait)
}

// succeeded takes an attempt back: as a failure it never happened, and those of the account before it are
// forgotten. Those of its address are not, or an attacker with an account could wipe them out.
func (a *attempt) succeeded(ctx context.Context, tx *sqlx.Tx) error {
	return forget(ctx, tx, a.ids, a.main)
}

// unlooked takes an attempt back of which nothing was looked at that could be guessed. What was counted before it stays.
func (a *attempt) unlooked(ctx context.Context, tx *sqlx.Tx) error {
	return forget(ctx, tx, a.ids, nil)
}

func words(d time.Duration) string {
	if d <= time.Second {
		return "1 second"
	}
	d = d.Round(time.Second)
	if d < time.Minute {
		return strings.TrimSuffix(d.String(), "s") + " seconds"
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "m0s") + " min"
}
