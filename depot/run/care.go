package run

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
)

// pruneBatch is how many rows one statement of Prune deletes.
const pruneBatch = 5000

// Prune deletes runs that ended longer ago than the settings say, but never the newest backup of a device that succeeded.
func (s *Service) Prune(ctx context.Context) error {
	set, err := s.settings(ctx)
	if err != nil {
		return err
	}
	for {
		n, err := prune(ctx, s.cfg.DB, set.RunHistoryDays, pruneBatch)
		if err != nil || n < pruneBatch {
			return err
		}
	}
}

// Stale raises the alarm about devices without a backup for as many days as the settings say: to the owner of each, and to administrators
// about all that are new. It raises it once, until the device has a backup again. It looks at what is there, and would notice that
// nobody makes runs any more.
//
// A device counts if it is not revoked, its owner is not suspended, and it either had a backup once or is meant by a policy that is on. The days
// of a device without a backup begin with its enrolment.
func (s *Service) Stale(ctx context.Context) error {
	set, err := s.settings(ctx)
	if err != nil {
		return err
	}
	days := set.StaleDays
	var n news
	err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		n = news{}
		if err := staleLock(ctx, tx); err != nil {
			return err
		}
		rows, err := stale(ctx, tx, days)
		if err != nil {
			return err
		}
		var fresh []staleRow
		for _, r := range rows {
			key := "stale:" + r.ID.UUID()
			if !r.Stale {
				if err := notice.Forget(ctx, tx, r.Owner, key); err != nil {
					return err
				}
				continue
			}
			fresh = append(fresh, r)
			e := notice.Event{User: r.Owner, Kind: "device.stale", Device: r.ID, Key: key,
				Title: fmt.Sprintf("“%s” has not been backed up for %s", r.Name, amount(days, "day")), Body: r.words()}
			if err := notice.Write(ctx, tx, e); err != nil {
				return err
			}
			n.readers = append(n.readers, r.Owner)
		}
		if len(fresh) == 0 {
			return nil
		}
		admins, err := notice.Admins(ctx, tx, fleetStale(fresh, days))
		n.readers = append(n.readers, admins...)
		return err
	})
	if err != nil {
		return err
	}
	s.ring(ctx, n)
	return nil
}

func (r *staleRow) words() string {
	since := "It was never backed up since it was enrolled."
	if r.Last != nil {
		since = fmt.Sprintf("Its last backup is of %s.", r.Last.UTC().Format("2 January 2006, 15:04 UTC"))
	}
	return since + " Switch it on and connect it; if it is on, look whether its agent runs. If the device is gone, revoke it."
}

// fleetStale is what administrators are told.
func fleetStale(rows []staleRow, days int) notice.Event {
	const most = 20
	names := make([]string, 0, most)
	for _, r := range rows[:min(len(rows), most)] {
		names = append(names, "“"+r.Name+"”")
	}
	list := strings.Join(names, ", ")
	if len(rows) > most {
		list += fmt.Sprintf(" and %d more", len(rows)-most)
	}
	have := "have"
	if len(rows) == 1 {
		have = "has"
	}
	return notice.Event{Kind: "fleet.stale",
		Title: fmt.Sprintf("%s %s not been backed up for %s", amount(len(rows), "device"), have, amount(days, "day")),
		Body:  list + ". Their owners were told. The list of devices shows all that are in a bad state."}
}

func amount(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return number(int64(n)) + " " + what + "s"
}
