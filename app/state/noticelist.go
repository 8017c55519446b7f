package state

import (
	"context"
	"encoding/json"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
)

// NoticeList is the screen of notices: all of them by filter, and what is also sent by mail. Make it with [NewNoticeList].
type NoticeList struct {
	Model
	api  *api.Client
	live Live
	stop func()
	turn int // of the filter: answers to an older question are dropped
	v    NoticeListView
}

// NoticeListView is what pages show of a [NoticeList].
type NoticeListView struct {
	UnreadOnly bool
	Severity   api.Severity // "" for all
	List       Load[[]api.NoticeFields]
	More       bool // there are older ones
	LoadingOld bool
	Unread     int
	Err        error // of marking, or of loading older ones

	Preferences Load[[]api.NoticePreferencesNotificationPreferencesNotificationPreference]
	PrefErr     error
	after       *string
}

// noticePage is how many are loaded at once.
const noticePage = 30

// NewNoticeList returns the list.
func NewNoticeList(client *api.Client, l Live) *NoticeList {
	return &NoticeList{api: client, live: l}
}

// View returns what to show.
func (n *NoticeList) View() (v NoticeListView) {
	n.read(func() { v = n.v })
	return v
}

// Start loads and follows, until Stop.
func (n *NoticeList) Start() {
	n.Load()
	n.LoadPreferences()
	first := true
	n.stop = n.live.Subscribe(api.NoticeChanges_Operation, nil, func(data json.RawMessage, err error) {
		if err == nil && !first {
			n.Load()
		}
		first = false
	})
}

// Stop ends following.
func (n *NoticeList) Stop() {
	if n.stop != nil {
		n.stop()
		n.stop = nil
	}
}

// Filter shows only some. severity "" is all of them.
func (n *NoticeList) Filter(unreadOnly bool, severity api.Severity) {
	n.change(func() {
		n.v.UnreadOnly, n.v.Severity = unreadOnly, severity
		n.v.List, n.v.More, n.v.LoadingOld, n.v.Err = Load[[]api.NoticeFields]{}, false, false, nil
	})
	n.Load()
}

// Load loads the newest that the filter lets through.
func (n *NoticeList) Load() {
	turn := 0
	n.change(func() {
		n.turn++
		turn = n.turn
		n.v.List.begin()
		n.v.LoadingOld = false
	})
	go func() {
		got, err := n.ask(nil)
		n.change(func() {
			if turn != n.turn {
				return
			}
			if err != nil {
				n.v.List.end(nil, err)
				return
			}
			n.v.List.end(noticeRows(got), nil)
			n.page(got)
		})
	}()
}

// Older loads more.
func (n *NoticeList) Older() {
	turn, after, ok := 0, (*string)(nil), false
	n.change(func() {
		if ok = n.v.More && !n.v.LoadingOld; ok {
			n.v.LoadingOld, n.v.Err = true, nil
			turn, after = n.turn, n.v.after
		}
	})
	if !ok {
		return
	}
	go func() {
		got, err := n.ask(after)
		n.change(func() {
			if turn != n.turn {
				return
			}
			n.v.LoadingOld, n.v.Err = false, err
			if err == nil {
				n.v.List.Value = append(append([]api.NoticeFields(nil), n.v.List.Value...), noticeRows(got)...)
				n.page(got)
			}
		})
	}()
}

func (n *NoticeList) page(got *api.NoticesResponse) {
	p := got.Notifications.PageInfo
	n.v.More, n.v.after, n.v.Unread = p.HasNextPage, p.EndCursor, got.Notifications.UnreadCount
}

func (n *NoticeList) ask(after *string) (*api.NoticesResponse, error) {
	v := n.View()
	var severities []api.Severity
	if v.Severity != "" {
		severities = []api.Severity{v.Severity}
	}
	return api.Notices(context.Background(), n.api, v.UnreadOnly, severities, noticePage, after)
}

// Read marks notices as read; without ids, all of them.
func (n *NoticeList) Read(ids ...string) {
	go func() {
		got, err := api.MarkNoticesRead(context.Background(), n.api, &api.MarkNotificationsReadInput{Ids: ids})
		n.change(func() {
			n.v.Err = err
			if err == nil {
				n.v.Unread = got.MarkNotificationsRead.UnreadCount
				n.v.List.Value = markRead(n.v.List.Value, ids)
			}
		})
	}()
}

// markRead returns the list with some, or without ids all, marked as read now.
func markRead(list []api.NoticeFields, ids []string) []api.NoticeFields {
	now := time.Now()
	out := append([]api.NoticeFields(nil), list...)
	for i := range out {
		hit := len(ids) == 0
		for _, id := range ids {
			hit = hit || out[i].Id == id
		}
		if hit && out[i].ReadAt == nil {
			out[i].ReadAt = &now
		}
	}
	return out
}

// LoadPreferences loads what is sent by mail.
func (n *NoticeList) LoadPreferences() {
	n.change(func() { n.v.Preferences.begin() })
	go func() {
		got, err := api.NoticePreferences(context.Background(), n.api)
		n.change(func() {
			if err != nil {
				n.v.Preferences.end(nil, err)
				return
			}
			var list []api.NoticePreferencesNotificationPreferencesNotificationPreference
			for _, p := range got.NotificationPreferences {
				list = append(list, *p)
			}
			n.v.Preferences.end(list, nil)
		})
	}()
}

// Prefer sets what is sent by mail of a kind. It shows at once, and goes back if the server refuses.
func (n *NoticeList) Prefer(kind string, mode api.MailMode) {
	var before api.MailMode
	n.change(func() {
		before = n.setMode(kind, mode)
		n.v.PrefErr = nil
	})
	if before == "" || before == mode {
		return
	}
	go func() {
		in := &api.SetNotificationPreferencesInput{Preferences: []*api.NotificationPreferenceInput{{Kind: kind, Mail: mode}}}
		if _, err := api.SetNoticePreferences(context.Background(), n.api, in); err != nil {
			n.change(func() {
				n.setMode(kind, before)
				n.v.PrefErr = err
			})
		}
	}()
}

// setMode sets a row of the preferences, and returns what was there; "" if there is no such row.
func (n *NoticeList) setMode(kind string, mode api.MailMode) (before api.MailMode) {
	list := append(n.v.Preferences.Value[:0:0], n.v.Preferences.Value...)
	for i := range list {
		if list[i].Kind == kind {
			before, list[i].Mail = list[i].Mail, mode
		}
	}
	n.v.Preferences.Value = list
	return before
}
