package state

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/holdfast-backup/holdfast/app/api"
)

// Live is the page's socket: see app/live.
type Live interface {
	Subscribe(query string, variables any, fn func(data json.RawMessage, err error)) (stop func())
}

// Notices are what the person who is logged in was told: the newest, and how many are unread, kept up to date as long as
// somebody looks. Make it with [NewNotices].
type Notices struct {
	Model
	api    *api.Client
	live   Live
	toasts *Toasts
	stop   func()
	v      NoticesView

	// Told hears the kind of every new notice; may be nil.
	Told func(kind string)
}

// NoticesView is what pages show of [Notices].
type NoticesView struct {
	Unread int
	Newest Load[[]api.NoticeFields] // newest first
	Err    error                    // of marking as read
}

// bellLength is how many notices the bell shows.
const bellLength = 8

// NewNotices returns notices. New ones are also said in toasts.
func NewNotices(client *api.Client, l Live, toasts *Toasts) *Notices {
	return &Notices{api: client, live: l, toasts: toasts}
}

// View returns what to show.
func (n *Notices) View() (v NoticesView) {
	n.read(func() { v = n.v })
	return v
}

// Start loads the newest and follows what comes, until Stop.
func (n *Notices) Start() {
	n.change(func() {
		n.v = NoticesView{}
		n.v.Newest.begin()
	})
	n.Load()
	n.stop = n.live.Subscribe(api.NoticeChanges_Operation, nil, n.event)
}

// Stop ends following.
func (n *Notices) Stop() {
	if n.stop != nil {
		n.stop()
		n.stop = nil
	}
	n.change(func() { n.v = NoticesView{} })
	n.toasts.Clear()
}

// Load loads the newest.
func (n *Notices) Load() {
	n.change(func() { n.v.Newest.begin() })
	go func() {
		got, err := api.Notices(context.Background(), n.api, false, nil, bellLength, nil)
		var missed []string
		n.change(func() {
			if err != nil {
				n.v.Newest.end(nil, err)
				return
			}
			rows := noticeRows(got)
			missed = newKinds(n.v.Newest.Value, rows)
			n.v.Newest.end(rows, nil)
			n.v.Unread = got.Notifications.UnreadCount
		})
		for _, kind := range missed {
			n.heard(kind)
		}
	}()
}

// newKinds are the kinds of notices that are in a list and were not in the one before, which was loaded: they came while the connection was away. With no list
// before, they are those that are unread: some of them may be younger than what the page was made of.
func newKinds(before, after []api.NoticeFields) (kinds []string) {
	for _, a := range after {
		known := slices.ContainsFunc(before, func(b api.NoticeFields) bool { return b.Id == a.Id }) || before == nil && a.ReadAt != nil
		if !known && !slices.Contains(kinds, a.Kind) {
			kinds = append(kinds, a.Kind)
		}
	}
	return kinds
}

func (n *Notices) heard(kind string) {
	if n.Told != nil {
		n.Told(kind)
	}
}

func noticeRows(got *api.NoticesResponse) []api.NoticeFields {
	list := []api.NoticeFields{}
	for _, e := range got.Notifications.Edges {
		list = append(list, e.Node.NoticeFields)
	}
	return list
}

// event takes in what the socket says.
func (n *Notices) event(data json.RawMessage, err error) {
	var e api.NoticeChangesResponse
	if err != nil || json.Unmarshal(data, &e) != nil || e.NotificationChanges == nil {
		return // the list is still right as of its loading, and says when it is loaded again
	}
	c := e.NotificationChanges
	reload := false
	n.change(func() {
		reload = c.Notification == nil && n.v.Newest.Status == Ready && c.UnreadCount != n.v.Unread
		n.v.Unread = c.UnreadCount
		if c.Notification != nil {
			list := append([]api.NoticeFields{c.Notification.NoticeFields}, n.v.Newest.Value...)
			n.v.Newest.Value = list[:min(len(list), bellLength)]
		}
	})
	switch {
	case reload: // they were read in another tab, or came while the connection was away
		n.Load()
	case c.Notification != nil:
		f := c.Notification.NoticeFields
		n.heard(f.Kind)
		n.toasts.Add(Toast{Severity: strings.ToLower(string(f.Severity)), Title: f.Title, Body: f.Body, Href: NoticeHref(&f)})
	}
}

// Read marks notices as read; without ids, all of them.
func (n *Notices) Read(ids ...string) {
	go func() {
		got, err := api.MarkNoticesRead(context.Background(), n.api, &api.MarkNotificationsReadInput{Ids: ids})
		n.change(func() {
			n.v.Err = err
			if err == nil {
				n.v.Unread = got.MarkNotificationsRead.UnreadCount
				n.v.Newest.Value = markRead(n.v.Newest.Value, ids)
			}
		})
	}()
}

// NoticeHref returns where there is more about a notice.
func NoticeHref(f *api.NoticeFields) string {
	family, _, _ := strings.Cut(f.Kind, ".")
	switch {
	case f.Run != nil:
		return "/runs/" + f.Run.Id
	case f.Device != nil:
		return "/devices/" + f.Device.Id
	case family == "account":
		return "/profile"
	case family == "storage", family == "care", family == "pack", family == "replica":
		return "/admin/storage"
	case family == "fleet":
		return "/admin/devices"
	}
	return "/notifications"
}
