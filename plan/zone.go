package plan

import (
	"fmt"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // the browser, Windows and small containers have no table of time zones of their own
)

// zones keeps what was loaded: time.LoadLocation reads a file each time.
var zones struct {
	sync.RWMutex
	byName map[string]*time.Location
}

// There are about 600 names. File systems that ignore case have more spellings of them than are worth keeping.
const maxZones = 1000

// LoadZone returns the time zone of an IANA name, such as "Europe/Athens"; "" and "UTC" are UTC. Names that
// mean something else on each machine ("Local", "localtime") are refused.
func LoadZone(name string) (*time.Location, error) {
	if name == "" || name == "UTC" {
		return time.UTC, nil
	}
	zones.RLock()
	loc := zones.byName[name]
	zones.RUnlock()
	if loc != nil {
		return loc, nil
	}
	if local := strings.EqualFold(name, "local") || strings.EqualFold(name, "localtime"); local || len(name) > 100 || !zoneName(name) {
		return nil, badZone(name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, badZone(name)
	}
	zones.Lock()
	defer zones.Unlock()
	if zones.byName == nil {
		zones.byName = map[string]*time.Location{}
	}
	if len(zones.byName) < maxZones {
		zones.byName[name] = loc
	}
	return loc, nil
}

// zoneName reports whether s looks like a name of the tz database. "posix/…" and "right/…" are copies of it
// that only some machines have; the latter count leap seconds.
func zoneName(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/_+-", r)) {
			return false
		}
	}
	return !strings.HasPrefix(s, "posix") && !strings.HasPrefix(s, "right")
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
