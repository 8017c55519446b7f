//go:build unix

package daemon

import (
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/application"
	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/vault/remote"
)

// crawling is a service whose connection takes a few KiB a second, both ways.
func (r *rig) crawling() Config {
	cfg := r.config()
	cfg.Server = func(v *agent.Server) { v.UploadLimit, v.DownloadLimit = 16<<10, 16<<10 }
	return cfg
}

// application makes one of what is in the folder media, and of a database if that is not "".
func (r *rig) application(name, database string, media ...string) *application.App {
	r.Helper()
	for i, m := range media {
		media[i] = filepath.Join(r.home, m)
	}
	a, err := application.New(name, database, media, nil)
	r.ok(err)
	s := agent.ServerOf(r.device)
	c, err := s.Dial(r.device.Token)
	r.ok(err)
	defer c.Close()
	a.ID, err = c.RegisterApplication(r.Context(), a.Name, string(a.Engine()), len(a.Media))
	r.ok(err)
	r.ok(application.In(r.dir).Put(a))
	return a
}

// noise writes a file that does not compress.
func (r *rig) noise(path string, size int) {
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{7}).Read(content)
	r.file(path, content)
}

// Backups of applications and restores stop at once, too: asleep in the limiter, with a program at work, and waiting for another backup.
func TestCancelApplications(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.noise("media/film", 8<<20)
	shop := r.application("Shop", "", "media")

	stop := r.serve(r.config())
	v, err := r.a.Client.BackUpApplication(t.Context(), shop.ID, "media", "", remote.ApplicationWork{Level: "DEFAULT"})
	r.ok(err)
	made := r.ends(v.ID, "SUCCEEDED")
	r.ok(stop())

	r.noise("media/film", 8<<20+1)
	r.serve(r.crawling())
	v, err = r.a.Client.BackUpApplication(t.Context(), shop.ID, "media", "", remote.ApplicationWork{Level: "DEFAULT"})
	r.ok(err)
	r.until(v.ID, func(v *remote.Run) bool { return running(v) && v.Progress.Bytes > 8<<20 })
	r.stops(v.ID)

	app, err := r.a.FindApplication(t.Context(), "Shop")
	r.ok(err)
	snap, err := r.a.FindApplicationSnapshot(t.Context(), app, made.Snapshot.String())
	r.ok(err)
	v, _, err = r.a.OrderApplication(t.Context(), app, snap, agent.ApplicationOrder{Part: order.MediaOnly, Folder: filepath.Join(r.home, "back")})
	r.ok(err)
	r.until(v.ID, func(v *remote.Run) bool { return running(v) && v.Progress.Phase == application.PhaseMedia })
	r.stops(v.ID)

	// Files to the device.
	v, _, err = r.a.OrderRestore(t.Context(), r.self(), snap, agent.OrderInput{To: filepath.Join(r.home, "files")})
	r.ok(err)
	r.until(v.ID, running)
	r.stops(v.ID)

	// A program that waits for others.
	file := filepath.Join(r.home, "till.db")
	other := exec.Command("sqlite3", file)
	in, err := other.StdinPipe()
	r.ok(err)
	out, err := other.StdoutPipe()
	r.ok(err)
	r.ok(other.Start())
	defer other.Wait() //nolint:errcheck // how it ends says nothing
	defer in.Close()
	io.WriteString(in, "CREATE TABLE t (a);\nBEGIN EXCLUSIVE;\nSELECT 1;\n")
	out.Read(make([]byte, 1))
	till := r.application("Till", "sqlite:"+file)
	v, err = r.a.Client.BackUpApplication(t.Context(), till.ID, "database", "", remote.ApplicationWork{Level: "DEFAULT"})
	r.ok(err)
	r.until(v.ID, func(v *remote.Run) bool { return v.State == "RUNNING" })
	r.stops(v.ID)

	// Waiting for a backup by hand.
	held, err := r.dir.Lock()
	r.ok(err)
	defer held()
	v, err = r.a.Client.BackUpApplication(t.Context(), shop.ID, "media", "", remote.ApplicationWork{Level: "DEFAULT"})
	r.ok(err)
	r.until(v.ID, func(v *remote.Run) bool { return v.State == "RUNNING" })
	r.stops(v.ID)
}
