package setting

import (
	"context"

	"github.com/holdfast-backup/holdfast/depot/notice"
)

// ForNotices returns what depot/notice goes by.
func (s *Service) ForNotices(ctx context.Context) (notice.Settings, error) {
	all, err := s.Get(ctx)
	if err != nil {
		return notice.Settings{}, err
	}
	return notice.Settings{
		ProductName: all.ProductName, Zone: all.Zone, DigestHour: all.DigestHour, MailsPerHour: all.MailsPerHour, StorageLowPercent: all.StorageLowPercent,
		AdminDigestDays: map[Period]int{Daily: 1, Weekly: 7}[all.AdminDigest], // Never: 0
	}, nil
}
