package fleet_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A device's owner is told when it comes and when it goes.
func TestOwnersAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob, admin := w.person("ann@example.org", actor.Staff), w.person("bob@example.org", actor.Staff), w.person("admin@example.org", actor.Admin)
	notices := notice.New(notice.Config{DB: w.db})
	d, _ := w.device(ann, "laptop")
	if !slices.Contains(w.topics, notice.Topic(ann.User)) {
		t.Errorf("not rung: %v", w.topics)
	}
	other, _ := w.device(ann, "desktop")
	_, err := w.Revoke(t.Context(), bob, d.ID)
	w.want(err, fault.NotFound)
	for range 2 { // told once
		_, err = w.Revoke(t.Context(), admin, d.ID)
		w.ok(err)
	}
	_, err = w.Revoke(t.Context(), ann, other.ID)
	w.ok(err)
	p, err := notices.List(t.Context(), ann, notice.Filter{}, 10, "")
	w.ok(err)
	var got []string
	for _, n := range p.Notifications {
		if n.DeviceID == nil {
			t.Errorf("%s names no device", n.Title)
		}
		got = append(got, n.Kind+" "+n.Title+" "+n.Body)
	}
	want := []string{
		"device.revoked The device “desktop” was revoked It was revoked by you and backs up no more. Its snapshots stay.",
		"device.revoked The device “laptop” was revoked It was revoked by an administrator and backs up no more. Its snapshots stay.",
		"device.enrolled The device “desktop” was enrolled It calls itself host (linux) and can store backups for you from now on. If it is not yours, revoke it and set a new password.",
		"device.enrolled The device “laptop” was enrolled It calls itself host (linux) and can store backups for you from now on. If it is not yours, revoke it and set a new password.",
	}
	if !slices.Equal(got, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, a := range []actor.Actor{bob, admin} {
		if n, err := notices.UnreadCount(t.Context(), a); err != nil || n != 0 {
			t.Errorf("others were told: %d, %v", n, err)
		}
	}
}
