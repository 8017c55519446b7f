package state

import (
	"context"
	"encoding/csv"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/sheet"
)

// Installation is what can be set for the whole installation. Make it with [NewInstallation].
type Installation struct {
	Desk
	// Renamed, if not nil, is told the installation's name when it was saved.
	Renamed func(name string)

	fetch fetch
	v     InstallationView
}

// InstallationView is what pages show of an [Installation].
type InstallationView struct {
	Work
	Load     Load[*api.SettingsFields]
	Form     map[string]string // what stands in the fields, by the server's names
	Changed  bool
	Problems map[string]string
}

// The fields of the settings, as the server names them.
var settingFields = []string{"productName", "staleDays", "undoDays", "defaultQuota", "storageLowPercent", "digestHour", "zone", "adminDigest", "mailsPerHour", "runHistoryDays", "replicaKeepDays", "retentionDays"}

// NewInstallation returns the settings.
func NewInstallation(client *api.Client) *Installation { return &Installation{Desk: Desk{api: client}} }

// View returns what to show.
func (i *Installation) View() (v InstallationView) {
	i.read(func() {
		v = i.v
		v.Work = i.work
	})
	return v
}

// Reload loads them, and drops what was typed.
func (i *Installation) Reload() {
	fetchInto(&i.Model, &i.fetch, &i.v.Load, func(ctx context.Context) (*api.SettingsFields, error) {
		r, err := api.AdminSettings(ctx, i.api)
		if err != nil {
			return nil, err
		}
		i.change(func() { i.v.Form, i.v.Changed, i.v.Problems = formOf(r.Settings), false, nil })
		return r.Settings, nil
	})
}

func formOf(s *api.SettingsFields) map[string]string {
	return map[string]string{
		"productName": s.ProductName, "staleDays": strconv.Itoa(s.StaleDays), "undoDays": strconv.Itoa(s.UndoDays), "defaultQuota": inUnits(s.DefaultQuota, 1<<30),
		"storageLowPercent": strconv.Itoa(s.StorageLowPercent), "digestHour": strconv.Itoa(s.DigestHour), "zone": s.Zone, "adminDigest": string(s.AdminDigest),
		"mailsPerHour": strconv.Itoa(s.MailsPerHour), "runHistoryDays": strconv.Itoa(s.RunHistoryDays),
		"replicaKeepDays": strconv.Itoa(s.ReplicaKeepDays), "retentionDays": strconv.Itoa(s.RetentionDays), "adminsNeedSecondFactor": strconv.FormatBool(s.AdminsNeedSecondFactor),
	}
}

// Edit changes a field.
func (i *Installation) Edit(field, value string) {
	i.change(func() {
		form := maps.Clone(i.v.Form)
		form[field] = value
		i.v.Form, i.v.Changed = form, !maps.Equal(form, formOf(i.v.Load.Value)) // what is turned back is not unsaved
		if i.v.Problems[field] != "" {
			i.v.Problems = nil
			i.work.Err = nil
		}
	})
}

// Save writes what was changed.
func (i *Installation) Save() {
	v := i.View()
	bad := map[string]string{}
	number := func(field string) *int {
		n := whole(bad, field, v.Form[field])
		return &n
	}
	text := func(field string) *string {
		s := strings.TrimSpace(v.Form[field])
		return &s
	}
	quota, err := gib(v.Form["defaultQuota"])
	if err != nil {
		_, bad["defaultQuota"] = FieldOf(err)
	}
	if quota == nil {
		quota = new(int64)
	}
	demand := v.Form["adminsNeedSecondFactor"] == "true"
	digest := api.DigestPeriod(v.Form["adminDigest"])
	in := &api.UpdateSettingsInput{
		ProductName: text("productName"), StaleDays: number("staleDays"), UndoDays: number("undoDays"), DefaultQuota: quota, StorageLowPercent: number("storageLowPercent"),
		DigestHour: number("digestHour"), Zone: text("zone"), AdminDigest: &digest, MailsPerHour: number("mailsPerHour"), RunHistoryDays: number("runHistoryDays"),
		ReplicaKeepDays: number("replicaKeepDays"), RetentionDays: number("retentionDays"), AdminsNeedSecondFactor: &demand,
	}
	if len(bad) > 0 {
		i.change(func() { i.v.Problems = bad })
		return
	}
	i.do("save", func(ctx context.Context) (string, error) {
		r, err := api.UpdateSettings(ctx, i.api, in)
		field, text := FieldOf(err, settingFields...)
		i.change(func() {
			i.v.Problems = nil
			if field != "" {
				i.v.Problems = map[string]string{field: text}
			}
			if err == nil {
				i.v.Load.end(r.UpdateSettings.Settings, nil)
				i.v.Form, i.v.Changed = formOf(r.UpdateSettings.Settings), false
			}
		})
		if err == nil && i.Renamed != nil {
			i.Renamed(r.UpdateSettings.Settings.ProductName)
		}
		return "Saved.", err
	})
}

// TestMail sends a mail to the person who asks.
func (i *Installation) TestMail() {
	i.do("mail", func(ctx context.Context) (string, error) {
		r, err := api.SendTestMail(ctx, i.api)
		if err != nil {
			return "", err
		}
		return "The mail server took a mail to " + r.SendTestMail.Address + ".", nil
	})
}

// Audit is what was done, and the mails that were written. Make it with [NewAudit].
type Audit struct {
	Desk
	v AuditView
}

// AuditView is what pages show of an [Audit].
type AuditView struct {
	Filter AuditFilter
	Wrong  error                  // what cannot be looked for, such as a day that is none
	Events Rows[*api.AuditFields] // those that the filter lets through
	Failed bool                   // only mails that could not be sent
	Mails  Rows[*api.MailFields]

	Exporting bool
	ExportErr error
}

// AuditFilter is which events somebody looks for, as they were typed.
type AuditFilter struct {
	Search   string
	Kind     string // the word, or what it begins with; "": every
	From, To string // days such as 2026-11-25, both inclusive; "": no limit
}

// AuditKinds are the beginnings of the words of events, and what they are about.
var AuditKinds = [][2]string{
	{"", "Everything"}, {"user", "People"}, {"invitation", "Invitations"}, {"session", "Logins"}, {"password", "Passwords"}, {"recovery", "Recovery codes"},
	{"second_factor", "Second factors"}, {"api_token", "API tokens"}, {"device", "Devices"}, {"policy", "Policies"}, {"group", "Groups"},
	{"snapshot", "Snapshots"}, {"snapshots", "Retention"}, {"settings", "Settings"},
}

// days turns the filter's days into times of this place.
func (f AuditFilter) days() (from, to *time.Time, err error) {
	day := func(s string, plus int) (*time.Time, error) {
		if s == "" {
			return nil, nil
		}
		at, err := time.ParseInLocation(time.DateOnly, s, time.Local)
		if err != nil {
			return nil, fault.New(fault.Invalid, "%q is not a day: write it like 2026-11-25", s)
		}
		at = at.AddDate(0, 0, plus)
		return &at, nil
	}
	if from, err = day(f.From, 0); err != nil {
		return nil, nil, err
	}
	if to, err = day(f.To, 1); err != nil {
		return nil, nil, err
	}
	if from != nil && to != nil && !from.Before(*to) {
		return nil, nil, fault.New(fault.Invalid, "the last day is before the first")
	}
	return from, to, nil
}

// NewAudit returns the log.
func NewAudit(client *api.Client) *Audit { return &Audit{Desk: Desk{api: client}} }

// View returns what to show.
func (a *Audit) View() (v AuditView) {
	a.read(func() { v = a.v })
	return v
}

// ActorOf is who did something.
func ActorOf(e *api.AuditFields) string {
	if e.Actor == nil {
		return "the system"
	}
	return e.Actor.Name
}

// Reload loads the newest of both.
func (a *Audit) Reload() {
	a.events(false)
	a.mails(false)
}

// MoreEvents loads older events.
func (a *Audit) MoreEvents() { a.events(true) }

// MoreMails loads older mails.
func (a *Audit) MoreMails() { a.mails(true) }

// Find shows only events that a filter lets through.
func (a *Audit) Find(f AuditFilter) {
	_, _, err := f.days()
	a.change(func() { a.v.Filter, a.v.Wrong = f, err })
	if err == nil {
		a.events(false)
	}
}

// maxExport is how many events one export takes: 100 requests.
const maxExport = 100 * exportPage

// exportPage is the largest page that the server gives.
const exportPage = 200

// Export reads all events that the filter lets through, at most maxExport, and hands them to save as comma-separated values.
func (a *Audit) Export(save func(csv string)) {
	busy := true
	var f AuditFilter
	a.change(func() {
		busy, f = a.v.Exporting || a.v.Wrong != nil, a.v.Filter
		if !busy {
			a.v.Exporting, a.v.ExportErr = true, nil
		}
	})
	if busy {
		return
	}
	go func() {
		var list []*api.AuditFields
		var after *string
		var err error
		for {
			var page slice[*api.AuditFields]
			if page, err = a.found(context.Background(), f, exportPage, after); err != nil {
				break
			}
			list = append(list, page.rows...)
			if after = page.after; after == nil {
				break
			}
			if len(list) >= maxExport {
				err = fault.New(fault.TooLarge, "these are more than %s lines: choose fewer days", Number(maxExport))
				break
			}
		}
		a.change(func() { a.v.Exporting, a.v.ExportErr = false, err })
		if err == nil {
			save(AuditCSV(list))
		}
	}()
}

// found returns a page of the events that a filter lets through.
func (a *Audit) found(ctx context.Context, f AuditFilter, n int, after *string) (slice[*api.AuditFields], error) {
	from, to, err := f.days()
	if err != nil {
		return slice[*api.AuditFields]{}, err
	}
	r, err := api.AdminAudit(ctx, a.api, n, after, filled(f.Search), filled(f.Kind), from, to)
	if err != nil {
		return slice[*api.AuditFields]{}, err
	}
	page := slice[*api.AuditFields]{after: next(r.AuditEvents.PageInfo.HasNextPage, r.AuditEvents.PageInfo.EndCursor)}
	for _, e := range r.AuditEvents.Edges {
		page.rows = append(page.rows, e.Node)
	}
	return page, nil
}

// OnlyFailed shows only mails that could not be sent, or all.
func (a *Audit) OnlyFailed(on bool) {
	a.change(func() { a.v.Failed = on })
	a.mails(false)
}

func (a *Audit) events(more bool) {
	var f AuditFilter
	a.read(func() { f = a.v.Filter })
	fetchRows(&a.Model, &a.v.Events, more, func(ctx context.Context, after *string) (slice[*api.AuditFields], error) {
		return a.found(ctx, f, pageSize, after)
	})
}

func (a *Audit) mails(more bool) {
	failed := false
	a.read(func() { failed = a.v.Failed })
	fetchRows(&a.Model, &a.v.Mails, more, func(ctx context.Context, after *string) (slice[*api.MailFields], error) {
		r, err := api.AdminMails(ctx, a.api, failed, pageSize, after)
		if err != nil {
			return slice[*api.MailFields]{}, err
		}
		page := slice[*api.MailFields]{after: next(r.Mails.PageInfo.HasNextPage, r.Mails.PageInfo.EndCursor)}
		for _, e := range r.Mails.Edges {
			page.rows = append(page.rows, e.Node)
		}
		return page, nil
	})
}

// AuditCSV writes events as comma-separated values. A text that a spreadsheet would take for a formula gets an apostrophe before it.
func AuditCSV(events []*api.AuditFields) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	row := func(cells ...string) {
		for i, c := range cells {
			cells[i] = sheet.Text(c)
		}
		w.Write(cells) //nolint:errcheck // into memory
	}
	row("time", "kind", "who", "what")
	for _, e := range events {
		row(e.At.UTC().Format(time.RFC3339), e.Kind, ActorOf(e), e.Text)
	}
	w.Flush()
	return b.String()
}
