package plan

import (
	"fmt"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // for browsers, Windows and small containers, which have no table of time zones of their own
)

// LoadZone returns the time zone of an IANA name, such as "Europe/Athens"; "" is UTC. Names that mean something
// else on each machine, such as "Local", are refused.
func LoadZone(name string) (*time.Location, error) { return zones.load(name) }

// zones holds what was asked for: time.LoadLocation reads a file each time.
var zones = zoneCache{max: 1000}

// A zoneCache is bounded because a file system that ignores case has more spellings of a name than are worth
// keeping.
type zoneCache struct {
	max    int
	mu     sync.RWMutex
	byName map[string]*time.Location
}

func (c *zoneCache) load(name string) (*time.Location, error) {
	c.mu.RLock()
	loc := c.byName[name]
	c.mu.RUnlock()
	if loc != nil {
		return loc, nil
	}
	if !zoneName(name) {
		return nil, badZone(name)
	}
	loc, err := time.LoadLocation(name) // "" is UTC
	if err != nil {
		return nil, badZone(name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byName == nil || len(c.byName) >= c.max {
		c.byName = map[string]*time.Location{}
	}
	c.byName[name] = loc
	return loc, nil
}

// zoneName reports whether s may be a name of the tz database. "localtime" is a link to one; "posix/…" and
// "right/…" are copies that only some machines have, the latter with leap seconds.
func zoneName(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/_+-", r)) {
			return false
		}
	}
	lower := strings.ToLower(s)
	return len(s) <= 100 && !strings.HasPrefix(lower, "local") && !strings.HasPrefix(lower, "posix") && !strings.HasPrefix(lower, "right/")
}

func badZone(name string) error {
	return fmt.Errorf("zone: %q is not known: want a name of the tz database, such as Europe/Athens, or nothing for UTC", clip(name))
}

// clip keeps what is quoted in an error short.
func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
