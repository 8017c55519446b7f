package notice

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/mail"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Numbers is what digests say of devices and runs. The depot joins it with the reports.
type Numbers interface {
	// Fleet returns the numbers of everybody for backups that were made in [from, to), and of now.
	Fleet(ctx context.Context, from, to time.Time) (*Fleet, error)

	// Devices returns how somebody's devices are, the worst first.
	Devices(ctx context.Context, owner id.User) ([]Device, error)
}

// Device is how one device is.
type Device struct {
	ID       id.Device
	Name     string // with its owner's, for administrators
	Severity Severity
	State    string // for people, such as "no backup for 9 days"
}

// Fleet is what administrators read.
type Fleet struct {
	Devices   int      // that are not revoked
	Unwell    int      // of them, those that need attention
	Attention []Device // the worst of those

	Succeeded, Warned, Failed, Missed int      // backups of the period
	SuccessRate                       *float64 // 0 to 1; nil: none ended

	StoredBytes  int64
	GrowthPerDay *float64 // bytes; nil: unknown
	FreeBytes    *int64   // nil: the store cannot say
	FullAt       *time.Time
}

// Digests writes the digest of the day for everybody who has something in it, from the settings' hour on.
func (s *Service) Digests(ctx context.Context) error {
	if s.cfg.Mail == nil {
		return nil // Dispatch settles what is there
	}
	users, err := readers(ctx, s.cfg.DB, "digest")
	if err != nil || len(users) == 0 {
		return err
	}
	set, st, err := s.settings(ctx)
	if err != nil {
		return err
	}
	now, err := pg.Clock(ctx, s.cfg.DB)
	if err != nil {
		return err
	}
	day := now.In(st.zone)
	if day.Hour() < set.DigestHour {
		return nil
	}
	return s.each(ctx, users, func(tx *sqlx.Tx, r reader) error {
		return s.digest(ctx, tx, r, day, st)
	})
}

func (s *Service) digest(ctx context.Context, tx *sqlx.Tx, r reader, day time.Time, st style) error {
	key := dayKey(mailDigest, r, day)
	if there, err := hasMail(ctx, tx, key); err != nil || there {
		return err
	}
	rows, err := toMail(ctx, tx, r.ID, "digest")
	if err != nil || len(rows) == 0 {
		return err
	}
	chosen, err := choices(ctx, tx, r.ID)
	if err != nil {
		return err
	}
	var wanted, unwanted []*Notification // by now
	for _, n := range rows {
		if mode(n.Kind, chosen, r) == None {
			unwanted = append(unwanted, n)
		} else {
			wanted = append(wanted, n)
		}
	}
	if err := settle(ctx, tx, unwanted, "none"); err != nil || len(wanted) == 0 {
		return err
	}
	d := mail.DigestData{Name: r.Name, Period: day.Format("Monday, 2 January"), Summary: summary(wanted), Link: pageHome, Settings: pageSettings}
	if s.cfg.Numbers != nil {
		list, err := s.cfg.Numbers.Devices(ctx, r.ID)
		if err != nil {
			return err
		}
		d.Devices = lines(list)
	}
	worstFirst(wanted)
	d.Items = items(wanted, st.zone)
	c, err := mail.Digest(st.brand, d)
	if err != nil {
		return err
	}
	if _, err := insertMail(ctx, tx, r, mailDigest, c, key); err != nil {
		return err
	}
	return settle(ctx, tx, wanted, "sent")
}

// AdminDigest writes the digest of the fleet for all administrators: every day or on Mondays, as the settings say, from their hour on.
// Nothing is caught up on the days after.
func (s *Service) AdminDigest(ctx context.Context) error {
	if s.cfg.Mail == nil || s.cfg.Numbers == nil {
		return nil
	}
	set, st, err := s.settings(ctx)
	if err != nil {
		return err
	}
	now, err := pg.Clock(ctx, s.cfg.DB)
	if err != nil {
		return err
	}
	day := now.In(st.zone)
	days := set.AdminDigestDays
	if days == 0 || day.Hour() < set.DigestHour || days == 7 && day.Weekday() != time.Monday {
		return nil
	}
	users, err := adminsWithoutMail(ctx, s.cfg.DB, mailAdminDigest+":", ":"+day.Format(time.DateOnly))
	if err != nil || len(users) == 0 {
		return err
	}
	// From digest to digest, so that no night is left out and none is told twice.
	to := time.Date(day.Year(), day.Month(), day.Day(), set.DigestHour, 0, 0, 0, st.zone)
	from := to.AddDate(0, 0, -days)
	f, err := s.cfg.Numbers.Fleet(ctx, from, to)
	if err != nil {
		return err
	}
	return s.each(ctx, users, func(tx *sqlx.Tx, r reader) error {
		if r.Suspended || !r.Role.AtLeast(actor.Admin) {
			return nil // since a moment ago
		}
		key := dayKey(mailAdminDigest, r, day)
		if there, err := hasMail(ctx, tx, key); err != nil || there {
			return err
		}
		rows, err := between(ctx, tx, r.ID, from, to)
		if err != nil {
			return err
		}
		var ours []*Notification
		for _, n := range rows {
			if isAdmin(n.Kind) {
				ours = append(ours, n)
			}
		}
		worstFirst(ours)
		c, err := mail.AdminDigest(st.brand, mail.AdminDigestData{
			Name: r.Name, Period: day.Format("Monday, 2 January"), Summary: f.summary(), Facts: f.facts(st.zone),
			Devices: lines(f.Attention), Items: items(ours, st.zone), Link: pageAdmin, Settings: pageSettings,
		})
		if err != nil {
			return err
		}
		_, err = insertMail(ctx, tx, r, mailAdminDigest, c, key)
		return err
	})
}

// dayKey names a mail of which there is one a day and person.
func dayKey(kind string, r reader, day time.Time) string {
	return kind + ":" + r.ID.UUID() + ":" + day.Format(time.DateOnly)
}

// lines are devices as mails show them.
func lines(list []Device) []mail.Device {
	var out []mail.Device
	for _, d := range list {
		out = append(out, mail.Device{Name: d.Name, Severity: mail.Severity(d.Severity), State: d.State, Link: "/devices/" + d.ID.String()})
	}
	return out
}

// summary says in a sentence what somebody's day was like.
func summary(rows []*Notification) string {
	n := map[Severity]int{}
	for _, r := range rows {
		n[r.Severity]++
	}
	var bad []string
	if n[Error] > 0 {
		bad = append(bad, count(n[Error], "thing went wrong", "things went wrong"))
	}
	if n[Warning] > 0 {
		bad = append(bad, count(n[Warning], "warning", "warnings"))
	}
	if len(bad) == 0 {
		return "Nothing went wrong."
	}
	return strings.Join(bad, ", ") + "."
}

func (f *Fleet) summary() string {
	switch n := f.Unwell; {
	case f.Devices == 0:
		return "There are no devices yet."
	case n == 0:
		return "No device needs attention."
	case n == 1:
		return fmt.Sprintf("1 of %s needs attention.", count(f.Devices, "device", "devices"))
	default:
		return fmt.Sprintf("%d of %s need attention.", n, count(f.Devices, "device", "devices"))
	}
}

func (f *Fleet) facts(zone *time.Location) []mail.Fact {
	facts := []mail.Fact{
		{Label: "Devices", Value: strconv.Itoa(f.Devices)},
		{Label: "Backups", Value: fmt.Sprintf("%d succeeded, %d with warnings, %d failed, %d missed", f.Succeeded, f.Warned, f.Failed, f.Missed)},
	}
	if f.SuccessRate != nil {
		facts = append(facts, mail.Fact{Label: "Success rate", Value: fmt.Sprintf("%.1f %%", 100**f.SuccessRate)})
	}
	facts = append(facts, mail.Fact{Label: "Stored", Value: size(float64(f.StoredBytes))})
	if f.GrowthPerDay != nil {
		facts = append(facts, mail.Fact{Label: "Growth", Value: size(*f.GrowthPerDay) + " a day"})
	}
	if f.FreeBytes != nil {
		facts = append(facts, mail.Fact{Label: "Room left", Value: size(float64(*f.FreeBytes))})
	}
	if f.FullAt != nil {
		facts = append(facts, mail.Fact{Label: "Full at this pace", Value: f.FullAt.In(zone).Format("2 January 2006")})
	}
	return facts
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// size writes bytes for people, in powers of 1000 as disks are sold.
func size(bytes float64) string {
	sign := ""
	if bytes < 0 {
		sign, bytes = "-", -bytes
	}
	const units = "kMGTPE"
	if bytes < 1000 {
		return fmt.Sprintf("%s%.0f bytes", sign, bytes)
	}
	i := -1
	for bytes >= 999.95 && i < len(units)-1 {
		bytes /= 1000
		i++
	}
	return fmt.Sprintf("%s%.1f %cB", sign, bytes, units[i])
}
