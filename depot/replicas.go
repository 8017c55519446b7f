package depot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/carelog"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/replica"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Replicas: see depot/replica.

const (
	replicaSlice = time.Hour           // how often CheckReplicas reads a slice
	replicaRound = 90 * 24 * time.Hour // in which all of a replica is read: reading costs money with most providers of buckets
)

// committed rings for replicas to be brought up to date. A ring that is lost costs minutes: the sweep looks, too.
func (d *Depot) committed(ctx context.Context) {
	if d.Queue == nil || !d.Replicas.Configured() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ringTime)
	go func() {
		defer cancel()
		d.Queue.Ring(ctx, TaskCopy, "snapshot") //nolint:errcheck // see above
	}()
}

// ringTime is how long Redis may take to hear of a new snapshot.
const ringTime = 5 * time.Second

// CopyNow is [Depot.CopyToReplicas] because of something. Its failure, which is written down there, is no reason to ring again: the next sweep is the repeat.
func (d *Depot) CopyNow(ctx context.Context, _ string) error {
	d.CopyToReplicas(ctx) //nolint:errcheck // see above
	return nil
}

// CopyToReplicas brings every replica up to date, and tells administrators of one that fails or is behind for long.
func (d *Depot) CopyToReplicas(ctx context.Context) error {
	if !d.Replicas.Configured() { // there may be some of which nobody knows any more
		_, err := d.Replicas.Copy(ctx, actor.System())
		return errors.Join(err, d.tellReplicas(ctx))
	}
	return d.replicaJob(ctx, "replicate", func() (replica.Report, error) { return d.Replicas.Copy(ctx, actor.System()) })
}

// CheckReplicas lists every replica once a day, and reads a slice of each.
func (d *Depot) CheckReplicas(ctx context.Context) error {
	if !d.Replicas.Configured() {
		return nil
	}
	return d.replicaJob(ctx, "replica-check", func() (replica.Report, error) {
		found, err := d.Replicas.Check(ctx, actor.System(), replica.CheckEvery)
		read, e := d.Replicas.Scrub(ctx, actor.System(), replicaSlice, replicaRound)
		read.Missing, read.Damaged = read.Missing+found.Missing, read.Damaged+found.Damaged
		return read, errors.Join(err, e)
	})
}

// replicaJob writes down what was done, unless that is nothing. That the time is over is no failure: the next call goes on. A failure
// is told only when it has lasted: a replica that is away for a moment catches up by itself.
func (d *Depot) replicaJob(ctx context.Context, kind string, do func() (replica.Report, error)) error {
	job, err := carelog.Begin(ctx, d.DB, kind, id.Space{})
	if err != nil {
		return err
	}
	report, err := do()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if report.Idle() { // that it failed stands in the replica's row: it may do so every few minutes for days
		return errors.Join(err, carelog.Drop(after, d.DB, job), d.tellReplicas(after))
	}
	return errors.Join(err, carelog.End(after, d.DB, job, report, err), d.tellReplicas(after))
}

// endTime is how long writing down the end of a job may take.
const endTime = 10 * time.Second

// tellReplicas tells administrators of replicas that fail or are behind for long, once each, until they are well again.
func (d *Depot) tellReplicas(ctx context.Context) error {
	states, err := d.Replicas.States(ctx, actor.System())
	if err != nil || len(states) == 0 {
		return err
	}
	var errs []error
	for _, st := range states {
		key := fmt.Sprintf("replica:%d", st.ID)
		if st.Trouble != "" && st.Configured {
			errs = append(errs, d.Notices.Tell(ctx, notice.Event{Kind: "replica.behind", Key: key, Title: "A replica of the store fails or is behind", Body: sentence(st.Trouble)}))
		} else {
			errs = append(errs, d.Notices.Over(ctx, key))
		}
	}
	return errors.Join(errs...)
}

// checkReplicas says for a doctor how each replica is doing.
func (d *Depot) checkReplicas(ctx context.Context, a actor.Actor) ([]Check, error) {
	states, err := d.Replicas.States(ctx, a)
	if err != nil {
		return nil, err
	}
	var checks []Check
	for _, st := range states {
		c := Check{Name: "replica", Text: st.Trouble}
		if c.OK = c.Text == ""; c.OK {
			c.Text = fmt.Sprintf("%s has all %d packs", st.URL, st.Packs)
			if st.LagPacks > 0 {
				c.Text = fmt.Sprintf("%s has %d packs and lacks %d", st.URL, st.Packs, st.LagPacks)
			}
		}
		checks = append(checks, c)
	}
	if len(checks) == 0 {
		checks = []Check{{Name: "replicas", OK: true, Text: "there is no replica of the store: name one in HOLDFAST_REPLICAS, on another disk or with another provider"}}
	}
	return checks, nil
}

// sentence makes a sentence of a text that begins with a small letter.
func sentence(s string) string {
	return string(s[0]-'a'+'A') + s[1:] + "."
}
