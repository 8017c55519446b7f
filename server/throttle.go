package server

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// How much an address may ask without a credential. A whole institution may come from one address, all of
// it at nine o'clock; what this stops is a machine. The depot throttles logins per account besides.
const (
	anonymousBurst     = 120
	anonymousPerSecond = 5
	queryWeight        = 1
	mutationWeight     = 4
	maxAddresses       = 50_000
)

// throttle limits callers without a credential by their address.
type throttle struct {
	mu      sync.Mutex
	buckets map[netip.Prefix]*rate.Limiter
}

// ask takes from the address's bucket. It returns RATE_LIMITED with the seconds to wait when that is empty.
func (t *throttle) ask(address string, mutation bool) error {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return nil // a unix socket: whoever holds it is not a stranger
	}
	bits := 32
	if addr.Is6() {
		bits = 64 // what one household or office gets
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return nil
	}
	weight := queryWeight
	if mutation {
		weight = mutationWeight
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.buckets == nil {
		t.buckets = map[netip.Prefix]*rate.Limiter{}
	}
	b := t.buckets[prefix]
	if b == nil {
		if len(t.buckets) >= maxAddresses {
			t.sweep()
		}
		b = rate.NewLimiter(anonymousPerSecond, anonymousBurst)
		t.buckets[prefix] = b
	}
	if b.AllowN(time.Now(), weight) {
		return nil
	}
	wait := int(math.Ceil((float64(weight) - b.Tokens()) / anonymousPerSecond))
	f := fault.New(fault.TooMany, "too many requests from your address: wait %d s, then try again", max(wait, 1))
	f.RetryAfter = max(wait, 1)
	return f
}

// sweep forgets the addresses whose buckets are full again; if all are busy, it forgets all.
func (t *throttle) sweep() {
	for p, b := range t.buckets {
		if b.Tokens() >= anonymousBurst {
			delete(t.buckets, p)
		}
	}
	if len(t.buckets) >= maxAddresses {
		clear(t.buckets)
	}
}
