package plan

import (
	"strings"
	"sync"
	"testing"
	"time"
)

func TestZones(t *testing.T) {
	t.Parallel()
	if loc, err := LoadZone(""); err != nil || loc != time.UTC {
		t.Errorf("no name is %v, %v", loc, err)
	}
	for _, name := range []string{"UTC", "Europe/Athens", "America/Argentina/Buenos_Aires", "America/Port-au-Prince", "Etc/GMT+5"} {
		loc, err := LoadZone(name)
		if err != nil || loc.String() != name {
			t.Errorf("%s is %v, %v", name, loc, err)
		}
		if again, _ := LoadZone(name); again != loc {
			t.Errorf("%s is loaded each time", name)
		}
	}
	for _, name := range []string{
		"Local", "local", "localtime", "posix/Europe/Athens", "right/Europe/Athens", "posixrules", "Europe/Atlantis", "../etc/passwd", "/etc/localtime", "Europe/Ath\x00ns",
		"Αθήνα", strings.Repeat("a", 101),
	} {
		if loc, err := LoadZone(name); err == nil || !strings.Contains(err.Error(), "is not known: want a name of the tz database") || len(err.Error()) > 250 {
			t.Errorf("%q is %v, %v", name, loc, err)
		}
	}
}

func TestZonesAreNotKeptWithoutEnd(t *testing.T) {
	t.Parallel()
	c := zoneCache{max: 2}
	var wg sync.WaitGroup
	for _, name := range []string{"Europe/Athens", "Asia/Tokyo", "Africa/Cairo", "Europe/Paris", "Europe/Athens", "Asia/Kathmandu"} {
		wg.Go(func() {
			if loc, err := c.load(name); err != nil || loc.String() != name {
				t.Errorf("%s is %v, %v", name, loc, err)
			}
		})
	}
	wg.Wait()
	if n := len(c.byName); n > 2 {
		t.Errorf("%d zones are kept, of at most 2", n)
	}
}
