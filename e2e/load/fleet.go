//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/e2e/api"
	"github.com/holdfast-backup/holdfast/e2e/stack"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// fleet is people with devices on a server.
type fleet struct {
	config
	server *stack.Server
	admin  *api.Client
	people []*agent.Account
	idle   []device
	work   []*worker
	rule   string // id of the policy
}

// device is one that only listens.
type device struct {
	id    id.Device
	token string
}

// worker is a device that backs up.
type worker struct {
	dir  *state.Dir
	home string
}

const password = "correct horse battery"

func (f *fleet) at() agent.Server { return agent.Server{URL: f.server.URL, RetryFor: time.Minute} }

// staff makes an administrator and as many people as the devices need.
func (f *fleet) staff(ctx context.Context) error {
	if err := f.join(ctx, "boss@example.org", "admin"); err != nil {
		return err
	}
	var err error
	if f.admin, err = api.Login(ctx, f.server.URL, "boss@example.org", []byte(password)); err != nil {
		return err
	}
	for n := range (f.Idle+f.Backups)/perPerson + 1 {
		email := fmt.Sprintf("person%d@example.org", n)
		if err := f.join(ctx, email, "staff"); err != nil {
			return err
		}
		a, err := agent.Unlock(ctx, f.at(), email, agent.Secret{Password: []byte(password)})
		if err != nil {
			return err
		}
		f.people = append(f.people, a)
	}
	return nil
}

func (f *fleet) join(ctx context.Context, email, role string) error {
	token, err := f.server.Invite(ctx, email, strings.Split(email, "@")[0], role)
	if err != nil {
		return err
	}
	_, err = agent.Join(ctx, f.at(), agent.JoinInput{Token: token,
		Password: func(string) ([]byte, error) { return []byte(password), nil },
		Recovery: func(string, keyring.RecoveryCode) error { return nil }})
	return err
}

// enroll makes the devices, as an agent does for a person who is logged in. With one-time codes it would wait: the server lets an address that shows
// no credential do little.
func (f *fleet) enroll(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	var mu sync.Mutex
	for n := range f.Idle {
		g.Go(func() error {
			_, d, err := f.register(ctx, n, fmt.Sprintf("idle %d", n))
			mu.Lock()
			defer mu.Unlock()
			f.idle = append(f.idle, device{d.ID, d.Token})
			return err
		})
	}
	for n := range f.Backups {
		g.Go(func() error {
			w, err := f.worker(ctx, n)
			mu.Lock()
			defer mu.Unlock()
			f.work = append(f.work, w)
			return err
		})
	}
	return g.Wait()
}

// register makes a device of one of the people.
func (f *fleet) register(ctx context.Context, n int, name string) (*keyring.Device, remote.Registered, error) {
	a := f.people[n%len(f.people)]
	keys, err := keyring.NewDevice()
	if err != nil {
		return nil, remote.Registered{}, err
	}
	d, err := a.Client.RegisterDevice(ctx, remote.RegisterInput{Name: name, Hostname: "load", OS: "linux", Arch: "amd64",
		PublicKey: keys.Public(), MAC: a.Keys.Space().DeviceMAC(keys.Public())})
	return keys, d, err
}

// worker makes a device that backs up, with an agent's folder.
func (f *fleet) worker(ctx context.Context, n int) (*worker, error) {
	a := f.people[n%len(f.people)]
	keys, d, err := f.register(ctx, n, fmt.Sprintf("worker %d", n))
	if err != nil {
		return nil, err
	}
	base := filepath.Join(f.Dir, fmt.Sprintf("device %d", n))
	dir, err := state.Open(filepath.Join(base, "state"))
	if err != nil {
		return nil, err
	}
	space := a.Keys.SpaceKey()
	w := &worker{dir: dir, home: filepath.Join(base, "home")}
	return w, dir.Save(&state.Device{Server: f.server.URL, Email: a.User.Email, ID: d.ID, Name: d.Name, Token: d.Token, PrivateKey: keys.Private(),
		SpaceKey: space[:], Identity: a.Keys.IdentityPublic(), EnrolledAt: time.Now().UTC(), Home: w.home, User: "load"})
}

// policy makes the one policy, by which nothing is ever due by itself.
func (f *fleet) policy(ctx context.Context) error {
	var out struct {
		CreatePolicy struct{ Policy struct{ ID string } }
	}
	err := f.admin.Do(ctx, `mutation($in: PolicyInput!) { createPolicy(input: $in) { policy { id } } }`, map[string]any{"in": map[string]any{
		"name": "everything", "targets": map[string]any{"everyone": true}, "roots": []string{"~"}, "zone": "UTC",
		"schedule": map[string]any{"kind": "CRON", "cron": "0 0 29 2 *"}, "retention": map[string]any{"last": 3}}}, &out)
	f.rule = out.CreatePolicy.Policy.ID
	return err
}

// folders gives every worker a small folder of its own: 20 files of 10 KiB each, half of which compress.
func (f *fleet) folders() error {
	for n, w := range f.work {
		rng := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), 1})
		if err := os.MkdirAll(w.home, 0o755); err != nil {
			return err
		}
		for i := range 20 {
			content := make([]byte, 10<<10)
			rng.Read(content)
			if i%2 == 0 {
				content = fmt.Appendf(nil, "%x", content[:5<<10])
			}
			if err := os.WriteFile(filepath.Join(w.home, fmt.Sprintf("file %d", i)), content, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// backUp lets all workers back up at once.
func (f *fleet) backUp(ctx context.Context) (took times, sent int64, err error) {
	g, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	start := make(chan struct{})
	for _, w := range f.work {
		g.Go(func() error {
			<-start
			began := time.Now()
			r, err := agent.Backup(ctx, w.dir, agent.BackupInput{Paths: []string{w.home}})
			if err != nil {
				return err
			}
			if r.Files != 20 || r.ProblemCount > 0 {
				return fmt.Errorf("a backup of 20 files came to %+v", r)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(began))
			sent += r.UploadedBytes
			return nil
		})
	}
	close(start)
	return took, sent, g.Wait()
}
