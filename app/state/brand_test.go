package state

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// shelf is where a browser keeps settings.
type shelf struct {
	mu   sync.Mutex
	kept map[string]string
}

func (s *shelf) Get(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[name]
}

func (s *shelf) Set(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[string]string{}
	}
	s.kept[name] = value
}

func TestBrand(t *testing.T) {
	t.Parallel()
	d, keep := newDesk(t), &shelf{}
	d.on("Branding", obj{"branding": obj{"name": "Vault", "logo": "/branding/logo/aa"}})
	b := NewBrand(d.client(), keep)
	if v := b.View(); v.Name != "Holdfast" || v.Logo != "" {
		t.Errorf("%+v", v)
	}
	b.Load()
	until(t, b, func() bool {
		return b.View().Logo == "/branding/logo/aa" && strings.Contains(keep.Get(brandKey), "Vault")
	})
	if v := NewBrand(d.client(), keep).View(); v.Name != "Vault" || v.Logo != "/branding/logo/aa" {
		t.Errorf("after a reload: %+v", v)
	}
	// What is not an answer, or does not come, changes nothing.
	d.fails("Branding", fault.Unavailable, "away")
	b.Load()
	b.Renamed("Archive")
	if v := NewBrand(d.client(), keep).View(); v.Name != "Archive" {
		t.Errorf("%+v", v)
	}
	for _, odd := range []string{`{"Name":"x","Logo":"https://evil.example/logo"}`, `{`, `{"Name":""}`} {
		keep.Set(brandKey, odd)
		if v := NewBrand(d.client(), keep).View(); v.Name != "Holdfast" || v.Logo != "" {
			t.Errorf("%s: %+v", odd, v)
		}
	}
}

func TestLogo(t *testing.T) {
	t.Parallel()
	d, keep := newDesk(t), &shelf{}
	b := NewBrand(d.client(), keep)
	b.Save() // nothing was chosen
	b.Pick(nil, errors.New("no picture"))
	if v := b.View(); v.Err == nil || v.Picked != "" {
		t.Errorf("%+v", v)
	}
	b.Pick(make([]byte, maxPicture+1), nil)
	if v := b.View(); !errors.Is(v.Err, fault.TooLarge) || v.Picked != "" {
		t.Errorf("%+v", v.Err)
	}
	b.Pick([]byte("picture"), nil)
	if v := b.View(); v.Err != nil || v.Picked != "data:image/png;base64,"+base64.StdEncoding.EncodeToString([]byte("picture")) || v.Logo != "" {
		t.Errorf("%+v", v)
	}
	b.Drop()
	b.Save()
	if d.count("SetLogo") != 0 {
		t.Error("what was dropped is sent")
	}
	d.fails("SetLogo", fault.Invalid, "this picture is damaged")
	b.Pick([]byte("picture"), nil)
	b.Save()
	until(t, b, func() bool { return b.View().Err != nil })
	if b.View().Picked == "" {
		t.Error("what was chosen is gone")
	}
	d.on("SetLogo", obj{"setLogo": obj{"branding": obj{"name": "Vault", "logo": "/branding/logo/bb"}}})
	b.Save()
	until(t, b, func() bool { return b.View().Done != "" })
	if v := b.View(); v.Logo != "/branding/logo/bb" || v.Picked != "" || d.vars["SetLogo"]["picture"] != base64.StdEncoding.EncodeToString([]byte("picture")) {
		t.Errorf("%+v", v)
	}
	d.fails("RemoveLogo", fault.Unavailable, "away")
	b.Remove()
	until(t, b, func() bool { return b.View().Err != nil })
	d.on("RemoveLogo", obj{"removeLogo": obj{"branding": obj{"name": "Vault", "logo": nil}}})
	b.Remove()
	until(t, b, func() bool { return b.View().Done != "" })
	if v := b.View(); v.Logo != "" || bytes.Contains([]byte(keep.Get(brandKey)), []byte("bb")) {
		t.Errorf("%+v", v)
	}
}

func TestReplicaWords(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good := api.ReplicaFields{Url: "file:///copy", Configured: true, ReachedAt: &now}
	for _, c := range []struct {
		change      func(*api.ReplicaFields)
		color, word string
		note        string
	}{
		{func(*api.ReplicaFields) {}, "success", "complete", ""},
		{func(r *api.ReplicaFields) { r.ReachedAt = nil }, "info", "new", ""},
		{func(r *api.ReplicaFields) { r.LagSince = &now }, "info", "copying", ""},
		{func(r *api.ReplicaFields) { r.FailingSince, r.Error = &now, "no room" }, "warning", "failing", "The last try failed: no room. It is tried again by itself."},
		{func(r *api.ReplicaFields) { r.FailingSince, r.Error, r.Trouble = &now, "no room", "the replica fails" }, "danger", "look at it", "The replica fails."},
		{func(r *api.ReplicaFields) { r.Configured = false }, "secondary", "not configured", ""},
		{func(r *api.ReplicaFields) { r.Missing, r.Damaged, r.Strays = 1, 2, 3 }, "success", "complete",
			"Missing from it when it was last compared, and copied again: 1 pack. Found wrong in it so far, and replaced: 2 copies. In it, not known here, and left alone: 3 packs."},
	} {
		r := good
		c.change(&r)
		if color, word := ReplicaState(&r); color != c.color || word != c.word {
			t.Errorf("%+v: %s %s", r, color, word)
		}
		if note := ReplicaNote(&r); note != c.note {
			t.Errorf("%q, want %q", note, c.note)
		}
	}
	if CareWord("replicate") != "Copying to replicas" || CareWord("replica-check") != "Checking replicas" {
		t.Error(CareWord("replicate"), CareWord("replica-check"))
	}
}

// TestNewPoliciesKeep: a new policy begins with the installation's days, unless somebody has typed already; others do not care.
func TestNewPoliciesKeep(t *testing.T) {
	t.Parallel()
	d := editorDesk(t)
	for days, want := range map[int][6]string{90: {"90", "", "", "", "12", ""}, 0: {}} {
		d.on("PolicyChoices", obj{"groups": []any{}, "settings": obj{"retentionDays": days}})
		e := openEditor(t, d, "", "")
		until(t, e, func() bool { return e.View().Choices.Status == Ready })
		if got := e.View().Draft.Keep; got != want {
			t.Errorf("%d: %q", days, got)
		}
		old := openEditor(t, d, "pol_1", "")
		until(t, old, func() bool { return old.View().Choices.Status == Ready })
		if got := old.View().Draft.Keep[0]; got != "30" {
			t.Errorf("an old policy: %q", got)
		}
	}
	hold := make(chan struct{})
	d.does("PolicyChoices", func(map[string]any) (any, error) {
		<-hold
		return obj{"groups": []any{}, "settings": obj{"retentionDays": 90}}, nil
	})
	e := openEditor(t, d, "", "")
	e.Edit(func(d *Draft) { d.Keep[0] = "7" })
	close(hold)
	until(t, e, func() bool { return e.View().Choices.Status == Ready })
	if got := e.View().Draft.Keep[0]; got != "7" {
		t.Errorf("what was typed is gone: %q", got)
	}
}

// TestInstallationRenames: who shows the name is told when it was saved, and not before.
func TestInstallationRenames(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	set := obj{"productName": "Holdfast", "zone": "UTC", "adminDigest": "WEEKLY", "replicaKeepDays": 30, "retentionDays": 30, "adminsNeedSecondFactor": false}
	d.on("AdminSettings", obj{"settings": set})
	i := NewInstallation(d.client())
	names := make(chan string, 3)
	i.Renamed = func(name string) { names <- name }
	i.Reload()
	until(t, i, func() bool { return i.View().Load.Status == Ready })
	i.Edit("productName", "Vault")
	i.Edit("replicaKeepDays", "x")
	i.Save()
	if i.View().Problems["replicaKeepDays"] == "" {
		t.Error("x is no number")
	}
	i.Edit("replicaKeepDays", "60")
	d.fails("UpdateSettings", fault.Invalid, "replicaKeepDays: want 1 to 3650, got 60")
	i.Save()
	until(t, i, func() bool { return i.View().Problems["replicaKeepDays"] != "" })
	d.on("UpdateSettings", obj{"updateSettings": obj{"settings": obj{"productName": "Vault", "zone": "UTC", "adminDigest": "WEEKLY", "replicaKeepDays": 60, "retentionDays": 30}}})
	i.Save()
	if name := <-names; name != "Vault" || len(names) != 0 {
		t.Error(name)
	}
	until(t, i, func() bool { return i.View().Form["replicaKeepDays"] == "60" && i.View().Busy == "" })
	if in, _ := d.vars["UpdateSettings"]["input"].(map[string]any); in["replicaKeepDays"] != 60.0 || in["retentionDays"] != 30.0 || in["adminsNeedSecondFactor"] != false {
		t.Errorf("%v", in)
	}
}

// A second factor of administrators is asked for, and refused to who has none.
func TestSecondFactorIsDemanded(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	set := obj{"productName": "Holdfast", "zone": "UTC", "adminDigest": "WEEKLY", "adminsNeedSecondFactor": false}
	d.on("AdminSettings", obj{"settings": set})
	i := NewInstallation(d.client())
	i.Reload()
	until(t, i, func() bool { return i.View().Load.Status == Ready })
	i.Edit("adminsNeedSecondFactor", "true")
	d.fails("UpdateSettings", fault.Conflict, "set up a second factor of your own first")
	i.Save()
	until(t, i, func() bool { return i.View().Err != nil })
	fails(t, i.View().Err, fault.Conflict, "of your own first")
	if in, _ := d.vars["UpdateSettings"]["input"].(map[string]any); in["adminsNeedSecondFactor"] != true {
		t.Errorf("%v", in)
	}
	i.Edit("adminsNeedSecondFactor", "false")
	if i.View().Changed {
		t.Error("what was turned back counts as unsaved")
	}
	i.Edit("adminsNeedSecondFactor", "true")
	d.on("UpdateSettings", obj{"updateSettings": obj{"settings": obj{"productName": "Holdfast", "zone": "UTC", "adminDigest": "WEEKLY", "adminsNeedSecondFactor": true}}})
	i.Save()
	until(t, i, func() bool { return i.View().Busy == "" && !i.View().Changed })
	if i.View().Form["adminsNeedSecondFactor"] != "true" || i.View().Err != nil {
		t.Errorf("%+v", i.View())
	}
}
