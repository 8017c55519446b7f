package report

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/setting"
)

// Per cent of a quota: whoever comes to the first is told, once, until it was less than the second.
const (
	nearPercent = 90
	farPercent  = 85
)

// quotaKey makes it told once.
const quotaKey = "quota"

// WarnQuotas tells users whose quota is nearly used up. The worker calls it every hour.
func (s *Service) WarnQuotas(ctx context.Context) error {
	users, err := setting.Usages(ctx, s.cfg.DB)
	if err != nil {
		return err
	}
	told, err := told(ctx, s.cfg.DB, quotaKey)
	if err != nil {
		return err
	}
	for _, u := range users {
		switch {
		case u.Quota > 0 && u.Used >= percent(u.Quota, nearPercent):
			if told[u.User] {
				continue
			}
			err := pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
				return notice.Write(ctx, tx, notice.Event{User: u.User, Kind: "quota.near", Key: quotaKey, Title: "Your quota is nearly used up",
					Body: fmt.Sprintf("Your backups take %s of the %s that you may store. Once all of it is used, no new backup begins: delete old snapshots, or ask an administrator for more.",
						size(u.Used), size(u.Quota))})
			})
			if err != nil {
				return err
			}
			if s.cfg.Bus != nil {
				s.cfg.Bus.Publish(ctx, notice.Topic(u.User), nil)
			}
		case told[u.User] && (u.Quota == 0 || u.Used < percent(u.Quota, farPercent)):
			err := pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error { return notice.Forget(ctx, tx, u.User, quotaKey) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// percent returns p per cent of n; n may be any number of bytes.
func percent(n, p int64) int64 { return n/100*p + n%100*p/100 }

// size says a number of bytes to people.
func size(n int64) string {
	units := []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	if n < 1000 {
		return fmt.Sprintf("%d bytes", n)
	}
	f, i := float64(n)/1000, 0
	for f >= 999.5 && i < len(units)-1 {
		f, i = f/1000, i+1
	}
	return fmt.Sprintf("%.3g %s", f, units[i])
}
