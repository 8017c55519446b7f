package page

import (
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
)

func TestWordsOfRuns(t *testing.T) {
	t.Parallel()
	text, code := "The disk is full.", "DISK_FULL"
	at := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	later, soon := at.Add(12*time.Second), at.Add(time.Millisecond)
	run := func(change func(*api.RunFields)) *api.RunFields {
		r := &api.RunFields{Device: &api.RunDevice{Name: "Laptop"}, State: api.RunStateRunning, Kind: api.RunKindBackup, Progress: &api.RunProgress{Phase: "scan", Files: 1, Bytes: 1024, TotalBytes: 2048}, Rate: 512}
		change(r)
		return r
	}
	for want, got := range map[string]string{
		"Reading and sending":                    phaseWord(run(func(*api.RunFields) {})),
		"Stopping":                               phaseWord(run(func(r *api.RunFields) { r.Cancelling = true })),
		"Waiting for the device":                 phaseWord(run(func(r *api.RunFields) { r.State = api.RunStateWaiting })),
		"Sending the rest":                       phaseWord(run(func(r *api.RunFields) { r.Progress.Phase = "upload" })),
		"Finishing":                              phaseWord(run(func(r *api.RunFields) { r.Progress.Phase = "commit" })),
		"Restoring":                              phaseWord(run(func(r *api.RunFields) { r.Kind, r.Progress.Phase = api.RunKindRestore, "restore" })),
		"1 file, 1.00 KiB of 2.00 KiB, 512 B/s":  counts(run(func(*api.RunFields) {})),
		"1 file, 1.00 KiB":                       counts(run(func(r *api.RunFields) { r.State = api.RunStateFailed })),
		"Restore to Laptop":                      runTitle(run(func(r *api.RunFields) { r.Kind = api.RunKindRestore })),
		"12 s":                                   took(run(func(r *api.RunFields) { r.StartedAt, r.EndedAt = &at, &later })),
		"under 0.1 s":                            took(run(func(r *api.RunFields) { r.StartedAt, r.EndedAt = &at, &soon })),
		text:                                     why(run(func(r *api.RunFields) { r.State, r.Text, r.Code = api.RunStateFailed, &text, &code })),
		code:                                     why(run(func(r *api.RunFields) { r.State, r.Code = api.RunStateFailed, &code })),
		"3 files could not be read or restored.": why(run(func(r *api.RunFields) { r.State, r.Progress.Problems = api.RunStateWarned, 3 })),
		"policy Nightly": askedBy(run(func(r *api.RunFields) {
			r.Trigger, r.Policy = api.RunTriggerSchedule, &api.RunPolicyName{Name: "Nightly"}
		})),
		"a policy that was deleted": askedBy(run(func(r *api.RunFields) { r.Trigger = api.RunTriggerSchedule })),
		"somebody at the device":    askedBy(run(func(r *api.RunFields) { r.Trigger = api.RunTriggerDevice })),
		"Ada":                       askedBy(run(func(r *api.RunFields) { r.Trigger, r.AskedBy = api.RunTriggerOwner, &api.RunAskedBy{Name: "Ada"} })),
		"somebody who is gone":      askedBy(run(func(r *api.RunFields) { r.Trigger = api.RunTriggerAdmin })),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, r := range []*api.RunFields{run(func(r *api.RunFields) { r.State = api.RunStateSucceeded }), run(func(*api.RunFields) {})} {
		if got := why(r) + took(r); got != "" {
			t.Errorf("%s says %q", r.State, got)
		}
	}
	if counts(run(func(r *api.RunFields) { r.Progress = &api.RunProgress{} })) != "" {
		t.Error("nothing is counted")
	}
}

func TestWordsOfPolicies(t *testing.T) {
	t.Parallel()
	many := []string{".1", ".2", ".3", ".4", ".5", ".6", ".7", ".8", ".9", ".10"}
	for want, s := range map[string]*api.RulesSelection{
		"all files in the home folder, Documents/work":                           {Roots: []string{"~", "~documents/work"}},
		".docx in /srv, up to 1.00 MiB each, but nothing that matches 1 pattern": {Roots: []string{"/srv"}, Extensions: []string{".docx"}, MaxFileSize: 1 << 20, Excludes: []string{"*.tmp"}},
		".1 .2 .3 .4 .5 .6 .7 .8 and 2 other kinds in /":                         {Roots: []string{"/"}, Extensions: many},
	} {
		if got := selectionWords(s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAddressesOfFolders(t *testing.T) {
	t.Parallel()
	v := state.FilesView{Device: "dev_1", Snapshot: "snp_1"}
	if got := folder(v, "a b/50%#?"); got != "/files/dev_1/snp_1#a%20b/50%25%23?" {
		t.Error(got)
	}
	v.Latest = true
	if got := folder(v, ""); got != "/files/dev_1" {
		t.Error(got)
	}
	if parent("a/b/c") != "a/b" || parent("a") != "" || below("/devices/dev_1/", "/devices") != "dev_1" || below("/devices", "/devices") != "" || capital("just now") != "Just now" || capital("") != "" {
		t.Error("paths")
	}
	for agent, want := range map[string]string{"Mozilla (Windows NT 10.0)": "windows/amd64", "Mozilla (Macintosh; Intel Mac OS X)": "darwin/arm64", "Mozilla (X11; Linux)": "linux/amd64"} {
		if guess(agent) != want {
			t.Error(agent)
		}
	}
}
