package remote

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/vault/remote/internal/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Work is what a device is to do: one restore, one piece of work on an application, or all backups that are due, to be
// answered by one snapshot.
type Work struct {
	Runs      []Due            // none: nothing is due
	Lease     int64            // to be sent with every word about them
	TTL       time.Duration    // without a word for so long the device counts as gone
	Order     []byte           // of a restore: sealed
	Policy    *Effective       // of backups
	How       *ApplicationWork // of a backup of an application
	LookAgain time.Duration    // when to look again, should no ring come
}

// Due is a run as its device sees it.
type Due struct {
	ID         id.Run
	Kind       string // BACKUP, RESTORE, PROBE
	Trigger    string // SCHEDULE, OWNER, ADMIN, DEVICE
	State      string // as [Run].State
	DueAt      time.Time
	DeadlineAt time.Time
	Attempts   int // how often it was taken, this time included

	Application id.Application // zero: files of the device
	Part        string         // database, media, full
	Title       string
	Schedule    string // to be named in the [Label]; "": none
}

// The kinds of a run.
const (
	KindBackup  = "BACKUP"
	KindRestore = "RESTORE"
	KindProbe   = "PROBE"
)

// Effective is what all policies of a device together ask for.
type Effective struct {
	Selections  []Selection // a file is saved if any of these takes it
	Level       string      // NONE, FAST, DEFAULT, BETTER
	UploadLimit int64       // bytes a second; 0: none
}

// Selection is what one policy takes.
type Selection struct {
	Policy                      string // its name
	Roots, Extensions, Excludes []string
	MaxFileSize                 int64 // bytes; 0: no limit
}

// StartBackup makes a run for a backup by policy, now. It is due at once: [Client.TakeWork] hands it out.
func (c *Client) StartBackup(ctx context.Context) (Due, error) {
	r, err := api.StartBackup(ctx, c.gql(always))
	if err != nil {
		return Due{}, err
	}
	return due(r.StartBackup.Run)
}

// TakeWork takes what is due. If the reply is lost, what was taken comes back when its lease lapses.
func (c *Client) TakeWork(ctx context.Context) (*Work, error) {
	r, err := api.TakeWork(ctx, c.gql(ifUnsent))
	if err != nil {
		return nil, err
	}
	p := r.TakeWork
	w := &Work{Lease: p.Lease, TTL: time.Duration(p.Ttl) * time.Second, Order: deref(p.Order), LookAgain: time.Duration(p.LookAgain) * time.Second}
	for _, f := range p.Runs {
		d, err := due(f)
		if err != nil {
			return nil, err
		}
		w.Runs = append(w.Runs, d)
	}
	if e := p.Policy; e != nil {
		w.Policy = &Effective{Level: string(e.Level), UploadLimit: e.UploadLimit}
		for _, s := range e.Selections {
			w.Policy.Selections = append(w.Policy.Selections, Selection{s.Policy, s.Roots, s.Extensions, s.Excludes, s.MaxFileSize})
		}
	}
	if h := p.Application; h != nil {
		w.How = &ApplicationWork{string(h.Level), h.ExcludeLogs, h.Portable}
	}
	if len(w.Runs) > 0 && w.TTL <= 0 {
		return nil, fault.New(fault.Internal, "the server's reply makes no sense: work with a lease of %d s", p.Ttl)
	}
	return w, nil
}

func due(f api.DueFields) (Due, error) {
	d := Due{Kind: string(f.Kind), Trigger: string(f.Trigger), State: string(f.State), DueAt: f.DueAt, DeadlineAt: f.DeadlineAt, Attempts: f.Attempts}
	var err error
	if d.ID, err = parse[id.Run](f.Id); err != nil || f.Application == nil {
		return d, err
	}
	d.Part, d.Title = strings.ToLower(string(deref(f.Part))), deref(f.Title)
	if f.Schedule != nil {
		d.Schedule = f.Schedule.Id
	}
	d.Application, err = parse[id.Application](f.Application.Id)
	return d, err
}

// KeepInput is a heartbeat.
type KeepInput struct {
	Runs     []id.Run
	Lease    int64
	Backup   id.Backup // the session that works for them; zero: none yet
	Progress Progress
}

// KeepRuns is the heartbeat of runs that were taken. cancel says that somebody asked them to stop. A fault.Conflict
// or fault.NotFound says that they are not this device's any more.
func (c *Client) KeepRuns(ctx context.Context, in KeepInput) (cancel bool, err error) {
	p := in.Progress
	k := api.KeepRunsInput{Runs: runIDs(in.Runs), Lease: in.Lease, Phase: p.Phase, Files: p.Files, Bytes: p.Bytes, TotalFiles: p.TotalFiles,
		TotalBytes: p.TotalBytes, UploadedBytes: p.UploadedBytes, Problems: p.Problems}
	if !in.Backup.IsZero() {
		s := in.Backup.String()
		k.Backup = &s
	}
	r, err := api.KeepRuns(ctx, c.gql(never), k)
	if err != nil {
		return false, err
	}
	return r.KeepRuns.Cancel, nil
}

// Outcome is what a device says of its runs' end.
type Outcome string

// The outcomes.
const (
	Succeeded Outcome = "SUCCEEDED"
	Failed    Outcome = "FAILED"
	Cancelled Outcome = "CANCELLED"
)

// EndInput says how runs ended.
type EndInput struct {
	Runs                        []id.Run
	Lease                       int64
	Outcome                     Outcome
	Snapshot                    id.Snapshot // that was committed; zero: none
	Safety                      id.Snapshot // of a restore of an application: that was committed before it; zero: none
	Code                        string      // of a failure
	Retry                       bool        // trying again later may help
	Files, Bytes, UploadedBytes int64
	Causes                      map[string]int64 // unreadable files, or failures of a restore, by cause
	Report                      []byte           // sealed to the owner; may be empty
}

// EndRuns says how runs ended and returns what the server made of it. Said twice, it is the same.
func (c *Client) EndRuns(ctx context.Context, in EndInput) ([]Due, error) {
	e := api.EndRunsInput{Runs: runIDs(in.Runs), Lease: in.Lease, Outcome: api.RunOutcome(in.Outcome), Retry: in.Retry,
		Files: in.Files, Bytes: in.Bytes, UploadedBytes: in.UploadedBytes, Causes: []api.RunCauseInput{}}
	if !in.Snapshot.IsZero() {
		s := in.Snapshot.String()
		e.Snapshot = &s
	}
	if !in.Safety.IsZero() {
		s := in.Safety.String()
		e.Safety = &s
	}
	if in.Code != "" {
		e.Code = &in.Code
	}
	if len(in.Report) > 0 {
		e.Report = &in.Report
	}
	for cause, n := range in.Causes {
		e.Causes = append(e.Causes, api.RunCauseInput{Cause: cause, Count: n})
	}
	r, err := api.EndRuns(ctx, c.gql(always), e)
	if err != nil {
		return nil, err
	}
	list := make([]Due, len(r.EndRuns.Runs))
	for i, f := range r.EndRuns.Runs {
		if list[i], err = due(f); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func runIDs(runs []id.Run) []string {
	list := make([]string, len(runs))
	for i, r := range runs {
		list[i] = r.String()
	}
	return list
}

// Rings calls ring, from one goroutine, whenever the device should look for work: at once after the connection is made, and
// then as the server says. It needs the device's token. It returns when the connection is lost, with the error that
// it was lost by: when to connect again is for the caller to say.
func (c *Client) Rings(ctx context.Context, ring func(at time.Time)) error {
	err := c.listen(ctx, []subscription{{"Rings", api.Rings_Operation, nil}}, func(_ int, data json.RawMessage) error {
		var r api.RingsResponse
		if json.Unmarshal(data, &r) != nil {
			return senseless()
		}
		ring(r.Rings.At)
		return nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
