package state

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func event(unread string, notice string) string {
	return `{"notificationChanges":{"unreadCount":` + unread + `,"notification":` + notice + `}}`
}

func TestNotices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	toasts := &Toasts{}
	n := NewNotices(w.client(), w, toasts)
	n.Start()
	await(t, n, func() bool { return n.View().Newest.Status == Ready })
	if v := n.View(); v.Unread != 2 || v.Newest.Value[0].Id != "ntc_2" {
		t.Errorf("%+v", v)
	}
	w.tell(event("2", "null"), nil) // as it was: nothing is loaded
	w.tell(event("3", noticeJSON("ntc_3")), nil)
	v := n.View()
	if v.Unread != 3 || v.Newest.Value[0].Id != "ntc_3" || len(v.Newest.Value) != 3 {
		t.Errorf("%+v", v)
	}
	if list := toasts.View(); len(list) != 1 || list[0].Severity != "error" || list[0].Href != "/runs/run_1" {
		t.Errorf("%+v", list)
	}
	for range bellLength {
		w.tell(event("3", noticeJSON("ntc_x")), nil)
	}
	if got := len(n.View().Newest.Value); got != bellLength {
		t.Errorf("the bell has %d", got)
	}
	w.tell("", errors.New("the subscription ended"))
	w.tell("nonsense", nil)
	w.tell(`{}`, nil)
	if n.View().Unread != 3 {
		t.Error("nonsense was taken in")
	}

	w.set(w.server, "Notices", say(notices(false)))
	w.tell(event("0", "null"), nil) // read in another tab
	await(t, n, func() bool { return len(n.View().Newest.Value) == 0 })

	w.set(w.server, "Notices", refuse(fault.Unavailable, "later"))
	n.Load()
	await(t, n, func() bool { return n.View().Newest.Err != nil })
	n.Stop()
	n.Stop()
	if w.ended != 1 || n.View().Newest.Status != Idle || len(toasts.View()) != 0 {
		t.Errorf("%d ended, %+v", w.ended, n.View())
	}
}

func TestReadingNotices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := NewNotices(w.client(), w, &Toasts{})
	n.Start()
	await(t, n, func() bool { return n.View().Newest.Status == Ready })
	w.set(w.server, "MarkNoticesRead", say(`{"markNotificationsRead":{"unreadCount":1}}`))
	n.Read("ntc_2")
	await(t, n, func() bool { return n.View().Unread == 1 })
	if v := n.View(); v.Newest.Value[0].ReadAt == nil || v.Newest.Value[1].ReadAt != nil {
		t.Errorf("%+v", v)
	}
	w.set(w.server, "MarkNoticesRead", refuse(fault.Unavailable, "later"))
	n.Read()
	await(t, n, func() bool { return n.View().Err != nil })
	if got := w.last("MarkNoticesRead"); got != `{"input":{"ids":null}}` {
		t.Error(got)
	}
}

func TestNoticeHref(t *testing.T) {
	t.Parallel()
	device := &api.NoticeFieldsDevice{Id: "dev_1"}
	for _, c := range []struct {
		f    api.NoticeFields
		want string
	}{
		{api.NoticeFields{Kind: "run.failed", Run: &api.NoticeFieldsRun{Id: "run_1"}, Device: device}, "/runs/run_1"},
		{api.NoticeFields{Kind: "device.stale", Device: device}, "/devices/dev_1"},
		{api.NoticeFields{Kind: "account.login"}, "/profile"},
		{api.NoticeFields{Kind: "storage.low"}, "/admin/storage"},
		{api.NoticeFields{Kind: "care.failed"}, "/admin/storage"},
		{api.NoticeFields{Kind: "pack.damaged"}, "/admin/storage"},
		{api.NoticeFields{Kind: "replica.behind"}, "/admin/storage"},
		{api.NoticeFields{Kind: "fleet.stale"}, "/admin/devices"},
		{api.NoticeFields{Kind: "quota.near"}, "/notifications"},
	} {
		if got := NoticeHref(&c.f); got != c.want {
			t.Errorf("%s: %s", c.f.Kind, got)
		}
	}
}

func TestNoticeList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := NewNoticeList(w.client(), w)
	n.Older() // there is nothing yet
	n.Start()
	await(t, n, func() bool { return n.View().List.Status == Ready && n.View().Preferences.Status == Ready })
	if v := n.View(); !v.More || len(v.List.Value) != 2 || v.Unread != 2 {
		t.Errorf("%+v", v)
	}
	w.set(w.server, "Notices", refuse(fault.Unavailable, "later"))
	n.Older()
	await(t, n, func() bool { return n.View().Err != nil })
	w.set(w.server, "Notices", say(notices(false, "ntc_0")))
	n.Older()
	await(t, n, func() bool { return len(n.View().List.Value) == 3 })
	if v := n.View(); v.More || v.Err != nil || v.LoadingOld {
		t.Errorf("%+v", v)
	}
	if got := w.last("Notices"); got != `{"after":"cur","first":30,"severities":null,"unreadOnly":false}` {
		t.Error(got)
	}
	n.Filter(true, api.SeverityError)
	if n.View().List.Status != Loading {
		t.Error("rows of the filter before are still there")
	}
	await(t, n, func() bool { return n.View().List.Status == Ready })
	if got := w.last("Notices"); got != `{"after":null,"first":30,"severities":["ERROR"],"unreadOnly":true}` {
		t.Error(got)
	}
	n.Read("ntc_0")
	await(t, n, func() bool { return n.View().List.Value[0].ReadAt != nil })
	w.set(w.server, "MarkNoticesRead", refuse(fault.Unavailable, "later"))
	n.Read()
	await(t, n, func() bool { return n.View().Err != nil })

	w.tell(event("1", "null"), nil) // how it is when the socket begins
	w.set(w.server, "Notices", say(notices(false, "ntc_9", "ntc_0")))
	w.tell(event("2", noticeJSON("ntc_9")), nil)
	await(t, n, func() bool { return len(n.View().List.Value) == 2 })
	w.set(w.server, "Notices", refuse(fault.Unavailable, "later"))
	n.Load()
	await(t, n, func() bool { return n.View().List.Err != nil })
	n.Stop()
	n.Stop()
	if w.ended != 1 {
		t.Error("the subscription is still there")
	}
}

// An answer to a filter that is no longer set is dropped.
func TestOldFilter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := NewNoticeList(w.client(), w)
	began := make(chan struct{})
	slow := func(text string) (answer func(map[string]any) (string, error), hold chan struct{}) {
		hold = make(chan struct{})
		return func(map[string]any) (string, error) {
			began <- struct{}{}
			<-hold
			return text, nil
		}, hold
	}
	answer, first := slow(notices(false, "ntc_old"))
	w.set(w.server, "Notices", answer)
	n.Load()
	<-began
	w.set(w.server, "Notices", say(notices(true, "ntc_new")))
	n.Filter(true, "")
	await(t, n, func() bool { return n.View().List.Status == Ready })
	close(first)
	answer, second := slow(notices(false, "ntc_older"))
	w.set(w.server, "Notices", answer)
	n.Older()
	<-began
	w.set(w.server, "Notices", say(notices(false, "ntc_newest")))
	n.Filter(false, "")
	await(t, n, func() bool { return n.View().List.Status == Ready })
	close(second)
	w.set(w.server, "MarkNoticesRead", say(`{"markNotificationsRead":{"unreadCount":7}}`))
	n.Read() // by then the older answers are in
	await(t, n, func() bool { return n.View().Unread == 7 })
	if v := n.View(); len(v.List.Value) != 1 || v.List.Value[0].Id != "ntc_newest" {
		t.Errorf("%+v", v.List.Value)
	}
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := NewNoticeList(w.client(), w)
	ok := w.server["NoticePreferences"]
	w.server["NoticePreferences"] = refuse(fault.Unavailable, "later")
	n.LoadPreferences()
	await(t, n, func() bool { return n.View().Preferences.Status == Failed })
	w.set(w.server, "NoticePreferences", ok)
	n.LoadPreferences()
	await(t, n, func() bool { return n.View().Preferences.Status == Ready })
	mode := func() api.MailMode { return n.View().Preferences.Value[0].Mail }
	n.Prefer("no.such", api.MailModeNone)
	n.Prefer("run.failed", api.MailModeInstant)
	if w.was("SetNoticePreferences") {
		t.Error("what is as it was, or is not there, was sent")
	}
	sent := make(chan struct{})
	w.set(w.server, "SetNoticePreferences", func(map[string]any) (string, error) {
		close(sent)
		return `{"setNotificationPreferences":{"preferences":[]}}`, nil
	})
	n.Prefer("run.failed", api.MailModeNone)
	if mode() != api.MailModeNone {
		t.Error("it does not show at once")
	}
	<-sent
	w.set(w.server, "SetNoticePreferences", refuse(fault.Unavailable, "later"))
	n.Prefer("run.failed", api.MailModeDigest)
	await(t, n, func() bool { return n.View().PrefErr != nil })
	if mode() != api.MailModeNone {
		t.Error("it does not go back")
	}
}

func TestToasts(t *testing.T) {
	t.Parallel()
	var toasts Toasts
	for range mostToasts + 1 {
		toasts.Add(Toast{Severity: "error", Title: "x"})
	}
	list := toasts.View()
	if len(list) != mostToasts || list[0].ID != 2 {
		t.Errorf("%+v", list)
	}
	toasts.Dismiss(2)
	toasts.Dismiss(2)
	if len(toasts.View()) != mostToasts-1 {
		t.Error("it was not dismissed")
	}
}

// memory is Settings that last as long as a test.
type memory map[string]string

func (m memory) Get(name string) string { return m[name] }
func (m memory) Set(name, value string) { m[name] = value }

func TestIdleLock(t *testing.T) {
	t.Parallel()
	now, locks := time.Unix(0, 0), 0
	i := NewIdleLock(memory{}, func() { locks++ }, func() time.Time { return now })
	if i.Minutes() != 15 {
		t.Errorf("%d minutes", i.Minutes())
	}
	now = now.Add(14 * time.Minute)
	i.Touch()
	now = now.Add(14 * time.Minute)
	i.Check()
	if locks != 0 {
		t.Error("it locked although somebody was there")
	}
	now = now.Add(time.Minute)
	i.Check()
	if locks != 1 {
		t.Error("it did not lock")
	}
	i.SetMinutes(60)
	now = now.Add(59 * time.Minute)
	i.Check()
	now = now.Add(time.Hour) // the machine slept; the first touch comes too late
	i.Touch()
	if i.Minutes() != 60 || locks != 2 {
		t.Errorf("%d minutes, %d locks", i.Minutes(), locks)
	}
	i.SetMinutes(7)
	if i.Minutes() != 15 {
		t.Error("a number that nobody offered")
	}
}

func TestLink(t *testing.T) {
	t.Parallel()
	l := &Link{patience: time.Millisecond}
	l.Network(false)
	if !l.View().Offline {
		t.Error("offline")
	}
	l.Network(true)
	l.Socket(true)
	l.Socket(false)
	await(t, l, func() bool { return l.View().Lost })
	l.Socket(true)
	if v := l.View(); v.Lost || v.Offline {
		t.Errorf("%+v", v)
	}
	l = &Link{patience: time.Hour}
	l.Socket(false)
	l.Socket(true)
	l.away(1) // the time is over, and the socket came back before
	if l.View().Lost {
		t.Error("a short loss is shown")
	}
}
