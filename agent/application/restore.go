package application

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/sink"
	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The phases of a restore, next to those of the safety backup.
const (
	PhaseCheck    = "check"
	PhaseSafety   = "safety"
	PhaseDatabase = "database"
	PhaseMedia    = "media"
)

// RestoreInput says what is put back, and where.
type RestoreInput struct {
	Objects *restore.Objects
	Root    seal.Key

	Part     archive.Part
	Database string           // another one, that does not exist yet; "": in place
	Folder   string           // where the media go instead; "": in place
	Conflict restore.Conflict // of media that exist: restore.Overwrite or restore.Skip
	Bare     bool             // no safety backup first

	Safety     BackupInput             // how the safety backup is made: Title, Level and the functions count
	OnSafety   func(id.Snapshot) error // must have remembered it before anything is touched
	OnProgress func(phase string, p restore.Progress)
}

// Restored is what came of a restore.
type Restored struct {
	restore.Result              // of the media
	Safety         id.Snapshot  // zero: none was needed
	Tables         []dump.Table // of the database, as they were counted
}

// Restore puts an application back. The error is about the whole; what concerns single files of the media is in the
// Result. Backups of the device wait, and are waited for: one that began meanwhile would take what is being built for the
// remains of a restore that was killed, and remove it.
func Restore(ctx context.Context, dir *state.Dir, a *App, in RestoreInput) (Restored, error) {
	began := time.Now()
	release, err := agent.LockWait(ctx, dir)
	if err != nil {
		return Restored{}, err
	}
	defer release()
	r := &restoring{dir: dir, app: a, in: in}
	defer r.close()
	in.progress(PhaseCheck, restore.Progress{})
	if err := r.look(ctx); err != nil {
		return r.out, err
	}
	if err := r.safety(ctx); err != nil {
		return r.out, err
	}
	if in.Part.HasDatabase() {
		if err := r.database(ctx); err != nil {
			return r.out, err
		}
	}
	if in.Part.HasMedia() {
		if err := r.media(ctx); err != nil {
			return r.out, r.half(err)
		}
	}
	r.out.Duration = time.Since(began)
	return r.out, nil
}

func (in *RestoreInput) progress(phase string, p restore.Progress) {
	if in.OnProgress != nil {
		in.OnProgress(phase, p)
	}
}

// restoring is a restore under way.
type restoring struct {
	dir *state.Dir
	app *App
	in  RestoreInput
	out Restored

	tree  *tree.Reader
	about *archive.Manifest
	size  int64 // of the media

	db       source.Database
	dump     *tree.Entry
	portable bool // dump is no native one
	plan     source.Restore
}

func (r *restoring) close() {
	if r.db != nil {
		r.db.Close()
	}
}

// look reads what the backup says of itself and finds out whether it can be put back. It changes nothing, apart from
// ending what a restore that was killed left behind.
func (r *restoring) look(ctx context.Context) (err error) {
	if part := r.inPlace(); part != "" {
		if err := r.app.has(part); err != nil {
			return err
		}
	}
	r.tree = tree.Open(r.in.Objects, r.in.Root)
	if r.about, err = r.manifest(ctx); err != nil {
		return err
	}
	if r.in.Part.HasDatabase() {
		if err := r.lookDatabase(ctx); err != nil {
			return err
		}
	}
	if r.in.Part.HasMedia() {
		return r.lookMedia(ctx)
	}
	return nil
}

// get returns an entry of the tree; nil if there is none.
func (r *restoring) get(ctx context.Context, path string) (*tree.Entry, error) {
	e, err := r.tree.Get(ctx, path)
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	return e, err
}

// manifest reads the backup's manifest.
func (r *restoring) manifest(ctx context.Context) (*archive.Manifest, error) {
	e, err := r.get(ctx, archive.Name)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, fault.New(fault.Invalid, "this snapshot is no backup of an application: restore its files instead")
	}
	f := restore.OpenFile(ctx, r.in.Objects, e)
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, archive.MaxSize+1))
	if err != nil {
		return nil, err
	}
	return archive.Decode(b)
}

func (r *restoring) lookDatabase(ctx context.Context) (err error) {
	e := r.app.Engine()
	if err := r.pick(ctx, e); err != nil {
		return err
	}
	if e == "" {
		return fault.New(fault.Invalid, "%s has no database on this device: add one with holdfast-agent app add", r.app.Name)
	}
	if r.db, err = In(r.dir).open(r.app); err != nil {
		return err
	}
	if _, err := r.db.Mend(ctx); err != nil {
		return err
	}
	r.plan = source.Restore{Portable: r.portable, Bytes: r.dump.Size, As: r.in.Database}
	if !r.portable {
		r.plan.Format, r.plan.From, r.plan.Want = r.about.Dump.Format, r.about.EngineVersion, r.about.Tables
	}
	c, err := r.db.Preflight(ctx, r.plan)
	if err != nil {
		return err
	}
	return refuse(c)
}

// pick finds what the database is made of: the native dump if it is of this engine, else the portable form, which is of any.
func (r *restoring) pick(ctx context.Context, e dump.Engine) (err error) {
	native := r.about.Dump
	if native != nil && (native.Format.Engine() == e || e == "") {
		if r.dump, err = r.get(ctx, native.Path()); err == nil && r.dump == nil {
			err = fault.New(fault.Invalid, "this backup says that it holds a database, and has no %s", native.Path())
		}
		return err
	}
	r.portable = true
	if r.dump, err = r.get(ctx, archive.Portable); err != nil || r.dump != nil {
		return err
	}
	if native == nil {
		return fault.New(fault.Invalid, "this backup holds no database: restore its media only")
	}
	return fault.New(fault.Invalid, "this backup is of a %s database, and %s has a %s one: make the backup with %s beside it, which every kind of database can take", r.about.Engine, r.app.Name, e, archive.Portable)
}

// targets says where each part of the media goes: from its path in the tree to a folder.
func (r *restoring) targets() (map[string]string, error) {
	from := r.about.Media
	flat := len(from) <= 1
	switch {
	case r.in.Folder != "" && flat:
		return map[string]string{archive.MediaDir: r.in.Folder}, nil
	case r.in.Folder != "":
		m := map[string]string{}
		for _, f := range from {
			m[archive.MediaDir+"/"+f.Label] = filepath.Join(r.in.Folder, f.Label)
		}
		return m, nil
	case flat && len(r.app.Media) == 1:
		return map[string]string{archive.MediaDir: r.app.Media[0].Path}, nil
	}
	m := map[string]string{}
	for _, f := range from {
		i := indexOf(r.app.Media, f.Label)
		if i < 0 {
			return nil, fault.New(fault.Invalid, "this backup has media of %q, and %s has no such folder any more: add it again, or restore into another folder", f.Label, r.app.Name)
		}
		path := archive.MediaDir + "/" + f.Label
		if flat {
			path = archive.MediaDir
		}
		m[path] = r.app.Media[i].Path
	}
	if len(m) == 0 {
		return nil, fault.New(fault.Invalid, "nobody can tell in which of the %d folders of %s these media belong: restore them into another folder", len(r.app.Media), r.app.Name)
	}
	return m, nil
}

func indexOf(folders []Folder, label string) int {
	for i, f := range folders {
		if f.Label == label {
			return i
		}
	}
	return -1
}

// lookMedia refuses what has no media, no place, or no room.
func (r *restoring) lookMedia(ctx context.Context) error {
	e, err := r.get(ctx, archive.MediaDir)
	if err != nil {
		return err
	}
	if e == nil {
		return fault.New(fault.Invalid, "this backup holds no media: restore its database only")
	}
	targets, err := r.targets()
	if err != nil {
		return err
	}
	if r.size, err = r.mediaBytes(ctx); err != nil {
		return err
	}
	for from, to := range targets {
		if err := r.fits(ctx, from, to); err != nil {
			return err
		}
	}
	return nil
}

// mediaBytes is what the tree holds apart from its other files.
func (r *restoring) mediaBytes(ctx context.Context) (int64, error) {
	root, err := r.tree.Root(ctx)
	if err != nil {
		return 0, err
	}
	n := root.Bytes
	err = r.tree.List(ctx, "", func(e *tree.Entry) error {
		if e.Type == tree.File {
			n -= e.Size
		}
		return nil
	})
	return n, err
}

// inPlace is the part that is put in place of what is there now; "": none.
func (r *restoring) inPlace() archive.Part {
	db := r.in.Part.HasDatabase() && r.in.Database == ""
	media := r.in.Part.HasMedia() && r.in.Folder == ""
	switch {
	case db && media:
		return archive.Full
	case db:
		return archive.Database
	case media:
		return archive.Media
	}
	return ""
}

// safety saves what is there now, if something of it will be replaced.
func (r *restoring) safety(ctx context.Context) error {
	part := r.inPlace()
	if part == "" || r.in.Bare {
		return nil
	}
	in := r.in.Safety
	in.Part, in.Origin = part, archive.Safety
	show := in.OnProgress
	in.OnProgress = func(p backup.Progress) {
		if show != nil {
			show(p)
		}
		r.in.progress(PhaseSafety, restore.Progress{Files: p.Files, Bytes: p.Bytes, TotalFiles: p.TotalFiles, TotalBytes: p.TotalBytes})
	}
	made, err := backUp(ctx, r.dir, r.app, in)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fault.Wrap(err, fault.KindOf(err), "nothing was restored: the safety backup of the present state failed (%s). If there is nothing left to save, order the restore without one", agent.Sentence(err))
	case made.ProblemCount > 0:
		return fault.New(fault.Conflict, "nothing was restored: the safety backup could not read %d files, the first of them %s. Make them readable, or order the restore without one", made.ProblemCount, agent.LocalPath(made.Problems[0].Path))
	}
	r.out.Safety = made.Snapshot
	if r.in.OnSafety != nil {
		return r.in.OnSafety(made.Snapshot)
	}
	return nil
}

// database puts the dump in place.
func (r *restoring) database(ctx context.Context) error {
	f := restore.OpenFile(ctx, r.in.Objects, r.dump)
	defer f.Close()
	progress := func(n int64) {
		r.in.progress(PhaseDatabase, restore.Progress{Bytes: n, TotalBytes: r.dump.Size})
	}
	if r.portable {
		tables, err := r.db.Import(ctx, f, r.plan, progress)
		if err == nil {
			r.out.Tables = tables
		}
		return err
	}
	err := r.db.Restore(ctx, f, r.plan, progress)
	if err == nil {
		r.out.Tables = r.about.Tables
	}
	return err
}

// media writes the files.
func (r *restoring) media(ctx context.Context) error {
	targets, err := r.targets()
	if err != nil {
		return err
	}
	for from, to := range targets {
		s, err := sink.Open(to, sink.Options{Sync: true})
		if err != nil {
			return err
		}
		var whose *owner
		if r.about.Origin == archive.Import { // an archive of others does not know who owns what here
			whose = ownerOf(to)
		}
		done := r.out.Result
		got, err := restore.Run(ctx, restore.Config{
			Objects: r.in.Objects, Root: r.in.Root, Conflict: r.in.Conflict, Select: restore.Select{Paths: []string{from}},
			OnProgress: func(p restore.Progress) {
				p.Files, p.Bytes, p.Failures = p.Files+done.Files, p.Bytes+done.Bytes, p.Failures+done.FailureCount
				p.TotalBytes = r.size
				r.in.progress(PhaseMedia, p)
			},
		}, under{s, from, whose})
		r.add(got)
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *restoring) add(got restore.Result) {
	o := &r.out.Result
	o.Files, o.Dirs, o.Others, o.Bytes, o.Skipped = o.Files+got.Files, o.Dirs+got.Dirs, o.Others+got.Others, o.Bytes+got.Bytes, o.Skipped+got.Skipped
	o.Objects, o.ReadBytes = o.Objects+got.Objects, o.ReadBytes+got.ReadBytes
	for _, f := range got.Failures {
		if r.in.Conflict == restore.Skip && errors.Is(f.Err, fault.Conflict) { // to leave it alone is what was asked for
			o.Skipped++
			got.FailureCount--
			continue
		}
		if len(o.Failures) < restore.MaxFailures {
			o.Failures = append(o.Failures, f)
		}
	}
	o.FailureCount += got.FailureCount
}

// half says what was done already when the media failed.
func (r *restoring) half(err error) error {
	if !r.in.Part.HasDatabase() {
		return err
	}
	where := "the database was restored"
	if r.in.Database != "" {
		where = "the database was restored as " + r.in.Database
	}
	return fault.Wrap(err, fault.KindOf(err), "%s, the media were not: %s", where, strings.TrimSuffix(agent.Sentence(err), "."))
}
