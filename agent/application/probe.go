package application

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/state"
)

// Probe looks whether everything is there that a backup of the application needs, and changes nothing. What is wrong is in
// the Check.
func Probe(ctx context.Context, dir *state.Dir, a *App) (source.Check, error) {
	var c source.Check
	if a.Database != "" {
		db, err := In(dir).open(a)
		if err != nil {
			return c, err
		}
		defer db.Close()
		if c, err = db.Check(ctx); err != nil {
			if ctx.Err() != nil {
				return c, context.Cause(ctx)
			}
			c.Points = append(c.Points, source.Point{What: "database", Text: agent.Sentence(err)})
		}
	}
	for _, f := range a.Media {
		c.Points = append(c.Points, look(f))
	}
	return c, nil
}

// look says what is there of a folder of media.
func look(f Folder) source.Point {
	p := source.Point{What: "media " + f.Label}
	d, err := os.Open(f.Path)
	if err != nil {
		p.Text = fmt.Sprintf("%s cannot be opened (%s): mount it, or let this service read it", f.Path, plain(err))
		return p
	}
	defer d.Close()
	if fi, err := d.Stat(); err != nil || !fi.IsDir() {
		p.Text = f.Path + " is no folder"
		return p
	}
	if _, err := d.Readdirnames(1); err != nil && !errors.Is(err, io.EOF) {
		p.Text = fmt.Sprintf("%s cannot be listed (%s)", f.Path, plain(err))
		return p
	}
	p.OK, p.Text = true, f.Path+" can be read"
	return p
}

// plain is the reason of a file system's error, without the path.
func plain(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// Lines writes a check for a note: a line a point, + for what is in order and - for what is not.
func Lines(c source.Check) string {
	var b strings.Builder
	for _, p := range c.Points {
		sign := "-"
		if p.OK {
			sign = "+"
		}
		fmt.Fprintf(&b, "%s %s: %s\n", sign, p.What, strings.ReplaceAll(p.Text, "\n", " "))
	}
	return b.String()
}
