package plan

import (
	"strings"
	"testing"
	"time"
)

func TestCronSlots(t *testing.T) {
	t.Parallel()
	tests := []struct{ expr, after, want string }{
		{"0 2 * * *", "2024-01-01T00:00Z", "2024-01-01T02:00Z 2024-01-02T02:00Z"},
		{"*/20 9-10 * * *", "2024-01-01T09:30Z", "2024-01-01T09:40Z 2024-01-01T10:00Z 2024-01-01T10:20Z 2024-01-01T10:40Z 2024-01-02T09:00Z"},
		{"5/25 0 * * *", "2024-01-01T00:05Z", "2024-01-01T00:30Z 2024-01-01T00:55Z 2024-01-02T00:05Z"},
		{"7-9/2,58 12 * * *", "2024-01-01T00:00Z", "2024-01-01T12:07Z 2024-01-01T12:09Z 2024-01-01T12:58Z"},
		{"0 0 1 JAN *", "2024-01-01T00:00Z", "2025-01-01T00:00Z"},
		{"0 0 1 feb,Nov-DEC *", "2024-01-01T00:00Z", "2024-02-01T00:00Z 2024-11-01T00:00Z 2024-12-01T00:00Z"},
		{"0 0 29 2 *", "2023-01-01T00:00Z", "2024-02-29T00:00Z 2028-02-29T00:00Z"},
		{"0 0 31 * *", "2024-01-31T00:00Z", "2024-03-31T00:00Z 2024-05-31T00:00Z"},
		{"0 0 * * 0", "2024-01-01T00:00Z", "2024-01-07T00:00Z 2024-01-14T00:00Z"},
		{"0 0 * * 7", "2024-01-01T00:00Z", "2024-01-07T00:00Z 2024-01-14T00:00Z"},
		{"0 0 * * sat-sun", "2024-01-01T00:00Z", "2024-01-06T00:00Z 2024-01-07T00:00Z 2024-01-13T00:00Z"},
		{"0 0 * * 5-7/2", "2024-01-01T00:00Z", "2024-01-05T00:00Z 2024-01-07T00:00Z 2024-01-12T00:00Z"},
		{"0 0 * * MON-FRI", "2024-01-05T00:00Z", "2024-01-08T00:00Z 2024-01-09T00:00Z"},
		// Both days are named: either will do.
		{"0 0 13 * FRI", "2024-09-01T00:00Z", "2024-09-06T00:00Z 2024-09-13T00:00Z 2024-09-20T00:00Z 2024-09-27T00:00Z 2024-10-04T00:00Z 2024-10-11T00:00Z 2024-10-13T00:00Z"},
		{"0 0 30 2 MON", "2024-02-20T00:00Z", "2024-02-26T00:00Z 2025-02-03T00:00Z"},
		{"0 0 1-31 * MON", "2024-01-02T00:00Z", "2024-01-03T00:00Z"},
		// One begins with a star: both have to fit.
		{"0 0 */2 * MON", "2024-01-01T00:00Z", "2024-01-15T00:00Z 2024-01-29T00:00Z 2024-02-05T00:00Z"},
		{"0 0 13 * */5", "2024-01-01T00:00Z", "2024-09-13T00:00Z 2024-10-13T00:00Z"},
		{"@yearly", "2024-02-02T00:00Z", "2025-01-01T00:00Z 2026-01-01T00:00Z"},
		{"@annually", "2024-02-02T00:00Z", "2025-01-01T00:00Z"},
		{"@monthly", "2024-02-02T00:00Z", "2024-03-01T00:00Z 2024-04-01T00:00Z"},
		{"@weekly", "2024-02-02T00:00Z", "2024-02-04T00:00Z 2024-02-11T00:00Z"},
		{"@daily", "2024-02-02T00:00Z", "2024-02-03T00:00Z 2024-02-04T00:00Z"},
		{"@Midnight", "2024-02-02T00:00Z", "2024-02-03T00:00Z"},
		{"@hourly", "2024-02-02T00:00Z", "2024-02-02T01:00Z 2024-02-02T02:00Z"},
		{"  0\t2  *   * *\n", "2024-01-01T00:00Z", "2024-01-01T02:00Z"},
		{"* * * * *", "2024-12-31T23:58:30Z", "2024-12-31T23:59Z 2025-01-01T00:00Z 2025-01-01T00:01Z"},
	}
	for _, tt := range tests {
		t.Run(tt.expr, func(t *testing.T) {
			t.Parallel()
			checkSlots(t, cron("", tt.expr), tt.after, tt.want)
		})
	}
}

func TestCronThatIsNotValid(t *testing.T) {
	t.Parallel()
	tests := []struct{ expr, want string }{
		{"", `such as "0 2 * * *" for every day at 02:00; "" has 0`},
		{"* * * *", "has 4"},
		{"0 0 2 * * *", "has 6"},
		{"@reboot", `"@reboot" is not known: want @hourly`},
		{"@every 5m", `"@every 5m" is not known`},
		{"60 * * * *", `minute: "60" is not right: want *, or a number from 0 to 59`},
		{"-1 * * * *", `minute: "" is not right`},
		{"0 24 * * *", `hour: "24" is not right`},
		{"0 0 0 * *", `day of the month: "0" is not right: want *, or a number from 1 to 31`},
		{"0 0 32 * *", `day of the month: "32" is not right`},
		{"0 0 L * *", `day of the month: "l" is not right`},
		{"0 0 1 0 *", `month: "0" is not right: want *, or a name (JAN …) or a number from 1 to 12`},
		{"0 0 1 13 *", `month: "13" is not right`},
		{"0 0 1 anf *", `month: "anf" is not right`},
		{"0 0 1 january *", `month: "january" is not right`},
		{"0 0 * * 8", `day of the week: "8" is not right`},
		{"0 0 * * unm", `day of the week: "unm" is not right`},
		{"0 0 jan * *", `day of the month: "jan" is not right`},
		{"0 0 ? * *", `day of the month: "?" is not right`},
		{"1,,2 * * * *", `minute: "" is not right`},
		{"1, * * * *", `minute: "" is not right`},
		{"1- * * * *", `minute: "" is not right`},
		{"1-2-3 * * * *", `minute: "2-3" is not right`},
		{"*-5 * * * *", `minute: "*" is not right`},
		{"** * * * *", `minute: "**" is not right`},
		{"000 * * * *", `minute: "000" is not right`},
		{"+1 * * * *", `minute: "+1" is not right`},
		{"٣ * * * *", `minute: "٣" is not right`},
		{"5-1 * * * *", `minute: the range "5-1" runs backwards`},
		{"0 0 * * fri-mon", `day of the week: the range "fri-mon" runs backwards`},
		{"*/0 * * * *", `minute: the step of "*/0" is wrong: want a number from 1 to 59`},
		{"*/60 * * * *", `minute: the step of "*/60" is wrong`},
		{"*/ * * * *", `minute: the step of "*/" is wrong`},
		{"*/2/3 * * * *", `minute: the step of "*/2/3" is wrong`},
		{"*/-2 * * * *", `minute: the step of "*/-2" is wrong`},
		{"*/x * * * *", `minute: the step of "*/x" is wrong`},
		{"0 0 30 2 *", "names a day that never comes"},
		{"0 0 31 2,4,6,9,11 *", "names a day that never comes"},
		{"0 0 31 4 */2", "names a day that never comes"},
		{strings.Repeat("0,", 100) + "0 * * * *", "longer than 200 characters"},
		{"0 0 " + strings.Repeat("é", 90) + " * *", `ééé…" is not right`},
	}
	for _, tt := range tests {
		err := cron("", tt.expr).Validate()
		if err == nil || !strings.HasPrefix(err.Error(), "cron: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v; want %q", tt.expr, err, tt.want)
		}
	}
}

// FuzzCron reads whatever somebody writes: nothing makes it panic or search without end, and spelling that means
// nothing changes nothing.
func FuzzCron(f *testing.F) {
	for _, expr := range []string{"", "0 2 * * *", "*/15 9-17/2 1,15 JAN-MAR Mon,wed-fri", "@daily", "0 0 30 2 *", "0 0 */31 2 1", "5/7 * * * 0-7", "* * * * *"} {
		f.Add(expr, int64(1_711_846_800))
	}
	f.Add("59 23 31 12 7", int64(lastSecond-1))
	f.Add("0 0 29 2 *", int64(firstSecond))
	f.Fuzz(func(t *testing.T, expr string, unix int64) {
		s := cron("Europe/Athens", expr)
		valid := s.Validate() == nil
		after := time.Unix(unix, 0)
		slots := s.Slots(after, time.Unix(lastSecond, 0), 3)
		if !valid && len(slots) > 0 {
			t.Fatalf("an expression that is not valid has slots: %v", slots)
		}
		before := after
		for _, slot := range slots {
			if !slot.After(before) || slot.After(before.UTC().AddDate(horizon, 0, 0)) || slot.Nanosecond() != 0 {
				t.Fatalf("%v comes after %v", slot, before)
			}
			before = slot
		}
		if !valid {
			return
		}
		same := cron("Europe/Athens", " "+strings.ToUpper(strings.Join(strings.Fields(expr), "  ")))
		if len(same.Cron) > maxCron {
			return
		}
		again := same.Slots(after, time.Unix(lastSecond, 0), 3)
		if len(again) != len(slots) || len(slots) > 0 && !again[len(slots)-1].Equal(slots[len(slots)-1]) {
			t.Fatalf("%q has %v, %q has %v", expr, slots, same.Cron, again)
		}
	})
}
