package remote

import (
	"context"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/chunk"
	"github.com/holdfast-backup/holdfast/vault/remote/internal/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// Application is an application of the account's, as the server knows it.
type Application struct {
	ID           id.Application
	Name         string
	Device       id.Device
	DeviceName   string
	Engine       string // postgres, mysql, sqlite; "" without a database
	MediaFolders int
	RemovedAt    time.Time // zero: its device has it
}

// Label says of which application a snapshot is.
type Label struct {
	Application id.Application
	Name        string // of the application; as the server has it
	Part        string // database, media, full
	Origin      string // backup, safety, import
	Title       string
	Schedule    string // whose retention applies, as a [Due] named it; "": none
}

// ApplicationWork says how an application is to be backed up.
type ApplicationWork struct {
	Level       string // NONE, FAST, DEFAULT, BETTER
	ExcludeLogs bool
	Portable    bool
}

// RegisterApplication tells the server of an application of the device, or of what changed about it, and returns its id. It
// needs the device's token.
func (c *Client) RegisterApplication(ctx context.Context, name, engine string, mediaFolders int) (id.Application, error) {
	in := api.RegisterApplicationInput{Name: name, MediaFolders: mediaFolders}
	if engine != "" {
		e := api.DatabaseEngine(strings.ToUpper(engine))
		in.Engine = &e
	}
	r, err := api.RegisterApplication(ctx, c.gql(always), in)
	if err != nil {
		return id.Application{}, err
	}
	return parse[id.Application](r.RegisterApplication.Application.Id)
}

// RemoveApplication tells the server that the device has an application no more. It needs the device's token.
func (c *Client) RemoveApplication(ctx context.Context, a id.Application) error {
	_, err := api.RemoveApplication(ctx, c.gql(always), api.RemoveApplicationInput{Id: a.String()})
	return err
}

// Applications returns the account's applications, by name.
func (c *Client) Applications(ctx context.Context) ([]Application, error) {
	r, err := api.Applications(ctx, c.gql(always))
	if err != nil {
		return nil, err
	}
	list := make([]Application, len(r.Applications))
	for i, f := range r.Applications {
		a := Application{Name: f.Name, DeviceName: f.Device.Name, MediaFolders: f.MediaFolders, RemovedAt: deref(f.RemovedAt)}
		if f.Engine != nil {
			a.Engine = strings.ToLower(string(*f.Engine))
		}
		if a.ID, err = parse[id.Application](f.Id); err != nil {
			return nil, err
		}
		if a.Device, err = parse[id.Device](f.Device.Id); err != nil {
			return nil, err
		}
		list[i] = a
	}
	return list, nil
}

// ApplicationHealth is how an application of a device is doing, by the server's records.
type ApplicationHealth struct {
	LastSuccessAt time.Time // zero: there is no backup yet
	LastState     string    // of the newest run of a backup, such as FAILED; "": there was none
	LastEndedAt   time.Time // of that run; zero: it is not over
	NextDueAt     time.Time // zero: no schedule asks for it
}

// ThisDeviceApplications says how the device's applications are doing, without those that the server does not know. It needs the device's token.
func (c *Client) ThisDeviceApplications(ctx context.Context, ids []id.Application) (map[id.Application]ApplicationHealth, error) {
	names := make([]string, len(ids))
	for i, v := range ids {
		names[i] = v.String()
	}
	r, err := api.ThisDeviceApplications(ctx, c.gql(always), names)
	if err != nil {
		return nil, err
	}
	found := map[id.Application]ApplicationHealth{}
	for _, f := range r.ThisDeviceApplications {
		if f == nil {
			continue
		}
		v, err := parse[id.Application](f.Id)
		if err != nil {
			return nil, err
		}
		h := ApplicationHealth{LastSuccessAt: deref(f.Stats.LastSuccessAt), NextDueAt: deref(f.NextDueAt)}
		if l := f.Stats.LastRun; l != nil {
			h.LastState, h.LastEndedAt = string(l.State), deref(l.EndedAt)
		}
		found[v] = h
	}
	return found, nil
}

// BackUpApplication asks for a backup of a part of an application, now.
func (c *Client) BackUpApplication(ctx context.Context, a id.Application, part, title string, w ApplicationWork) (*Run, error) {
	r, err := api.BackUpApplication(ctx, c.gql(ifUnsent), api.BackUpApplicationInput{Application: a.String(), Part: api.ApplicationPart(strings.ToUpper(part)),
		Title: title, Level: api.CompressionLevel(w.Level), ExcludeLogs: w.ExcludeLogs, Portable: w.Portable})
	if err != nil {
		return nil, err
	}
	return run(r.BackUpApplication.Run)
}

// RestoreApplication hands over an order for an application, sealed for its device.
func (c *Client) RestoreApplication(ctx context.Context, a id.Application, s id.Snapshot, part string, sealed []byte) (*Run, error) {
	r, err := api.RestoreApplication(ctx, c.gql(ifUnsent), api.RestoreApplicationInput{Application: a.String(), Snapshot: s.String(),
		Part: api.ApplicationPart(strings.ToUpper(part)), Order: sealed})
	if err != nil {
		return nil, err
	}
	return run(r.RestoreApplication.Run)
}

// Labelled returns a remote that commits snapshots of an application. began, which may be nil, is told of every session. It
// needs the device's token.
func (c *Client) Labelled(l Label, began func(id.Backup)) backup.Remote {
	return labelled{c, l, began}
}

type labelled struct {
	c     *Client
	label Label
	began func(id.Backup)
}

// Begin implements [backup.Remote].
func (l labelled) Begin(ctx context.Context, parent id.Snapshot) (backup.Session, error) {
	s, err := l.c.Begin(ctx, parent)
	if err != nil {
		return nil, err
	}
	s.(*session).label = l.label.input()
	if l.began != nil {
		l.began(s.Info().ID)
	}
	return s, nil
}

func (l Label) input() *api.CommitApplicationInput {
	in := &api.CommitApplicationInput{Id: l.Application.String(), Part: api.ApplicationPart(strings.ToUpper(l.Part)),
		Origin: api.SnapshotOrigin(strings.ToUpper(l.Origin)), Title: l.Title}
	if l.Schedule != "" {
		in.Schedule = &l.Schedule
	}
	return in
}

// Import begins an upload of what was saved elsewhere, as a backup of an application, and returns a remote for it: it
// begins one session, which is there already. It needs a person's token, and so may be on any machine.
func (c *Client) Import(ctx context.Context, l Label) (backup.Remote, error) {
	r, err := api.BeginImport(ctx, c.gql(ifUnsent), api.BeginImportInput{Application: l.Application.String()})
	if err != nil {
		return nil, err
	}
	o := c.opts
	o.Token = r.BeginImport.Token
	w, err := Dial(c.base.String(), o)
	if err != nil {
		return nil, err
	}
	b := r.BeginImport.Session
	info := backup.Info{ParentUsable: b.ParentUsable, SpaceEmpty: b.SpaceEmpty, Chunk: chunk.Params{Min: b.ChunkMin, Avg: b.ChunkAvg, Max: b.ChunkMax},
		MaxPack: b.MaxPack, TTL: time.Duration(b.Ttl) * time.Second}
	if info.ID, err = parse[id.Backup](b.Id); err != nil {
		return nil, err
	}
	s := &session{c: w, fence: b.Fence, info: info, label: l.input()}
	return &imported{s: s}, s.sane()
}

// imported is a remote of one session.
type imported struct {
	s    *session
	used bool
}

// Begin implements [backup.Remote].
func (r *imported) Begin(context.Context, id.Snapshot) (backup.Session, error) {
	if r.used {
		return nil, fault.New(fault.SessionExpired, "the upload was interrupted for too long: begin it again, and what was stored will not be sent twice")
	}
	r.used = true
	return r.s, nil
}

// sane refuses limits with which nothing could be stored.
func (s *session) sane() error {
	if err := s.info.Chunk.Validate(); err != nil {
		return fault.Wrap(err, fault.Internal, "the server names chunk sizes that make no sense")
	}
	// A pack that holds the largest object must pass, or nothing would ever be stored.
	if s.info.MaxPack < pack.Target || s.info.TTL <= 0 {
		return fault.New(fault.Internal, "the server names limits that make no sense (packs of %d bytes, %v)", s.info.MaxPack, s.info.TTL)
	}
	return nil
}
