package state

import (
	"context"
	"errors"
	"strings"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
)

// Sealer is the program that takes files which were made elsewhere: see browser.Sealer.
type Sealer interface {
	Check(ctx context.Context, file any, in talk.Check, progress func(talk.Sealing)) (talk.Recognised, error)
	Send(ctx context.Context, in talk.Send, progress func(talk.Sealing)) (talk.Sent, error)
}

// Importing is the upload of a file that was made elsewhere, to be kept as a backup of an application. Make it with [NewImporting].
type Importing struct {
	Model
	api    *api.Client
	sealer Sealer
	of     Importer
	v      ImportingView
	stop   context.CancelFunc
	asks   int // counts the files: what was learned of an older one is dropped
}

// Importer is the application that gets it.
type Importer struct{ ID, Name, Device, DeviceName string }

// ImportStep is how far an upload is.
type ImportStep int

// The steps.
const (
	ImportNothing  ImportStep = iota // no file was chosen
	ImportChecking                   // it is read
	ImportReady                      // it is good
	ImportSending
	ImportDone
)

// ImportingView is what pages show of [Importing].
type ImportingView struct {
	Step  ImportStep
	File  string // what it is called
	Title string // that the backup is to have
	Found talk.Recognised
	How   talk.Sealing
	Sent  talk.Sent
	Err   error // of the last step

	Stored int // how many files were stored so far
}

// NewImporting returns a model without a file.
func NewImporting(client *api.Client, sealer Sealer, of Importer) *Importing {
	return &Importing{api: client, sealer: sealer, of: of}
}

// View returns what to show.
func (m *Importing) View() (v ImportingView) {
	m.read(func() { v = m.v })
	return v
}

// Choose has a file checked.
func (m *Importing) Choose(file any, name string) {
	var of Importer
	ctx, ask, ok := m.begin(func() {
		of = m.of
		m.v = ImportingView{Step: ImportChecking, File: name, Stored: m.v.Stored}
	})
	if !ok {
		return
	}
	go func() {
		found, err := m.sealer.Check(ctx, file, talk.Check{Name: name, ID: of.ID, Application: of.Name}, m.hear(ask))
		m.end(ctx, ask, err, func() { m.v.Step, m.v.Found = ImportReady, found }, ImportNothing)
	}()
}

// begin begins a step, unless something is being sent.
func (m *Importing) begin(fn func()) (ctx context.Context, ask int, ok bool) {
	ctx, cancel := context.WithCancel(context.Background())
	m.change(func() {
		if ok = m.v.Step != ImportSending; !ok {
			return
		}
		if m.stop != nil {
			m.stop()
		}
		m.asks++
		ask, m.stop = m.asks, cancel
		fn()
	})
	if !ok {
		cancel()
	}
	return ctx, ask, ok
}

// hear takes in how far a step is.
func (m *Importing) hear(ask int) func(talk.Sealing) {
	return func(p talk.Sealing) {
		m.change(func() {
			if m.asks == ask {
				m.v.How = p
			}
		})
	}
}

// end ends a step: well, or with an error after which things are as in back.
func (m *Importing) end(ctx context.Context, ask int, err error, well func(), back ImportStep) {
	m.change(func() {
		switch {
		case m.asks != ask:
		case err == nil:
			m.v.Err = nil
			well()
		default:
			m.v.Step = back
			if ctx.Err() == nil || !errors.Is(err, context.Canceled) { // else the person stopped it
				m.v.Err = err
			}
		}
	})
}

// Name is what the backup is to be called.
func (m *Importing) Name(title string) { m.change(func() { m.v.Title = title }) }

// Send seals and stores the file that was checked.
func (m *Importing) Send() {
	var of Importer
	title := ""
	ctx, ask, ok := m.begin(func() {
		of, title = m.of, strings.TrimSpace(m.v.Title)
		m.v.Step, m.v.Err, m.v.How = ImportSending, nil, talk.Sealing{}
	})
	if !ok {
		return
	}
	go func() {
		var sent talk.Sent
		r, err := api.BeginImport(ctx, m.api, &api.BeginImportInput{Application: of.ID})
		if err == nil {
			s := r.BeginImport.Session
			sent, err = m.sealer.Send(ctx, talk.Send{Application: of.ID, Name: of.Name, Device: of.Device, DeviceName: of.DeviceName, Title: title, Token: r.BeginImport.Token,
				Backup: s.Id, Fence: s.Fence, TTL: s.Ttl, Empty: s.SpaceEmpty, ChunkMin: s.ChunkMin, ChunkAvg: s.ChunkAvg, ChunkMax: s.ChunkMax, MaxPack: s.MaxPack}, m.hear(ask))
		}
		m.end(ctx, ask, err, func() { m.v.Step, m.v.Sent, m.v.Stored = ImportDone, sent, m.v.Stored+1 }, ImportReady)
	}()
}

// Cancel stops what is under way; else it takes the file away.
func (m *Importing) Cancel() {
	m.change(func() {
		if m.v.Step == ImportSending || m.v.Step == ImportChecking {
			m.stop()
			return
		}
		m.asks++
		m.v = ImportingView{Stored: m.v.Stored}
	})
}

// Refuse says why nothing is done with what a person gave, unless something is being sent.
func (m *Importing) Refuse(err error) {
	m.begin(func() { m.v = ImportingView{Err: err, Stored: m.v.Stored} })
}

// forget stops what is under way and forgets the file.
func (m *Importing) forget() {
	m.change(func() {
		if m.stop != nil {
			m.stop()
		}
		m.asks++
		m.v = ImportingView{}
	})
}
