package plan

import (
	"testing"
	"time"
)

func BenchmarkNext(b *testing.B) {
	start := at(b, "2024-03-30T12:00Z")
	for name, s := range map[string]Schedule{
		"daily":                      daily(b, "Europe/Athens", "02:00"),
		"daily in UTC":               daily(b, "", "02:00"),
		"monthly":                    monthly(b, "America/New_York", "02:00", 31),
		"cron, workdays":             cron("Europe/Athens", "*/15 8-18 * * MON-FRI"),
		"cron, every quarter":        cron("Europe/Athens", "*/15 * * * *"),
		"cron, leap days":            cron("Europe/Athens", "0 0 29 2 *"),
		"cron, not within ten years": cron("Europe/Athens", "0 * */31 2 1"),
	} {
		after := start
		if name == "cron, not within ten years" {
			after = time.Date(2027, 2, 2, 0, 0, 0, 0, time.UTC)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s.Next(after)
			}
		})
	}
}

func BenchmarkSlots(b *testing.B) {
	s, start := daily(b, "Europe/Athens", "02:00"), at(b, "2024-01-01T00:00Z")
	for b.Loop() {
		if n := len(s.Slots(start, start.AddDate(1, 0, 0), 1000)); n != 366 {
			b.Fatal(n)
		}
	}
}
