package depot

import (
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/run"
)

func TestHealthWords(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 5*3600)
	at := time.Date(2031, 3, 2, 21, 5, 0, 0, time.UTC)
	for _, c := range []struct {
		h        run.Health
		severity notice.Severity
		text     string
	}{
		{run.Health{State: run.HealthGood, LastSuccessAt: &at}, notice.Success, "backed up on Monday, 3 March, 02:05"},
		{run.Health{State: run.HealthWarning, LastSuccessAt: &at}, notice.Warning, "backed up on Monday, 3 March, 02:05, but some files could not be read"},
		{run.Health{State: run.HealthBad, LastSuccessAt: &at, StaleDays: 6}, notice.Error, "the last backup failed or was missed; backed up on Monday, 3 March, 02:05"},
		{run.Health{State: run.HealthBad, LastSuccessAt: &at, StaleDays: 7}, notice.Error, "no backup for 7 days"},
		{run.Health{State: run.HealthBad, StaleDays: 9}, notice.Error, "the last backup failed or was missed; never backed up"},
		{run.Health{State: run.HealthWorking}, notice.Info, "a backup is under way or waits for the device; never backed up"},
		{run.Health{State: run.HealthNew}, notice.Info, "nothing was due yet"},
	} {
		if severity, text := healthWords(&c.h, 7, zone); severity != c.severity || text != c.text {
			t.Errorf("%+v: %s %q", c.h, severity, text)
		}
	}
}
