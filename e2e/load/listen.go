//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// ears are the subscriptions of idle devices.
type ears struct {
	end   context.CancelFunc
	rings chan ring
	wait  sync.WaitGroup

	mu   sync.Mutex
	over error // why a subscription ended that should not have
	done bool
}

// ring is one that a device heard.
type ring struct {
	device id.Device
	at     time.Time
}

// listen opens a subscription for every idle device and waits until each has had its first ring.
func (f *fleet) listen(ctx context.Context) (*ears, error) {
	listening, end := context.WithCancel(ctx)
	e := &ears{end: end, rings: make(chan ring, 4*len(f.idle))}
	g, opening := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for _, d := range f.idle {
		g.Go(func() error {
			c, err := d.open(opening, f.server.URL)
			if err != nil {
				return fmt.Errorf("a subscription: %w", err)
			}
			e.wait.Go(func() { e.hear(listening, d, c) })
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		e.close()
		return nil, err
	}
	if _, err := e.next(ctx, len(f.idle), time.Time{}); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// open opens one.
func (d device) open(ctx context.Context, url string) (*websocket.Conn, error) {
	c, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(url, "http")+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		return nil, err
	}
	say := func(v any) {
		if err == nil {
			var b []byte
			if b, err = json.Marshal(v); err == nil {
				err = c.Write(ctx, websocket.MessageText, b)
			}
		}
	}
	say(map[string]any{"type": "connection_init", "payload": map[string]any{"Authorization": "Bearer " + d.token}})
	say(map[string]any{"type": "subscribe", "id": "1", "payload": map[string]any{"query": "subscription { rings { at } }"}})
	return c, err
}

// hear passes rings on, and answers pings, until the end.
func (e *ears) hear(ctx context.Context, d device, c *websocket.Conn) {
	defer c.CloseNow()
	for {
		_, b, err := c.Read(ctx)
		at := time.Now()
		var m struct{ Type string }
		if err == nil {
			err = json.Unmarshal(b, &m)
		}
		switch {
		case err != nil:
		case m.Type == "next":
			select {
			case e.rings <- ring{d.id, at}:
			default: // nobody waits for one
			}
		case m.Type == "ping":
			err = c.Write(ctx, websocket.MessageText, []byte(`{"type":"pong"}`))
		case m.Type == "error" || m.Type == "complete":
			err = fmt.Errorf("the server said %s", b)
		}
		if err != nil {
			e.mu.Lock()
			if !e.done {
				e.over = errors.Join(e.over, err)
			}
			e.mu.Unlock()
			return
		}
	}
}

// close ends all.
func (e *ears) close() {
	e.mu.Lock()
	e.done = true
	e.mu.Unlock()
	e.end()
	e.wait.Wait()
}

// lost is why subscriptions ended that nobody ended.
func (e *ears) lost() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.over
}

// patience is how long a ring may take before it counts as lost.
const patience = time.Minute

// next waits until n devices have heard a ring after a time, and returns when each did first.
func (e *ears) next(ctx context.Context, n int, after time.Time) (map[id.Device]time.Time, error) {
	heard := map[id.Device]time.Time{}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for len(heard) < n {
		select {
		case r := <-e.rings:
			if _, before := heard[r.device]; !before && r.at.After(after) {
				heard[r.device] = r.at
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-limit.C:
			return nil, errors.Join(fmt.Errorf("%d of %d devices heard nothing for %s", n-len(heard), n, patience), e.lost())
		}
	}
	return heard, nil
}

// ringOne asks for backups of idle devices, one after the other, and measures from the row of the run to the ring that its device hears.
// Both clocks are this machine's.
func (f *fleet) ringOne(ctx context.Context, e *ears) (took times, err error) {
	for _, n := range rand.Perm(len(f.idle))[:min(200, len(f.idle))] {
		d := f.idle[n]
		var out struct {
			BackUpNow struct {
				Run struct {
					ID        string
					CreatedAt time.Time
				}
			}
		}
		if err := f.admin.Do(ctx, `mutation($d: ID!) { backUpNow(input: {device: $d}) { run { id createdAt } } }`, map[string]any{"d": d.id.String()}, &out); err != nil {
			return nil, err
		}
		run := out.BackUpNow.Run
		at, err := e.of(ctx, d.id, run.CreatedAt)
		if err != nil {
			return nil, err
		}
		took = append(took, at.Sub(run.CreatedAt))
		// Nobody takes it: without this every sweep would ring the device again.
		if err := f.admin.Do(ctx, `mutation($id: ID!) { cancelRun(input: {id: $id}) { run { id } } }`, map[string]any{"id": run.ID}, nil); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// of waits for a device's first ring after a time.
func (e *ears) of(ctx context.Context, d id.Device, after time.Time) (time.Time, error) {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		select {
		case r := <-e.rings:
			if r.device == d && r.at.After(after) {
				return r.at, nil
			}
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		case <-limit.C:
			return time.Time{}, errors.Join(fmt.Errorf("a device heard nothing for %s", patience), e.lost())
		}
	}
}

// ringAll asks for backups of all devices at once, and measures until each device hears of it.
func (f *fleet) ringAll(ctx context.Context, e *ears) (took times, err error) {
	began := time.Now()
	var out struct{ RunPolicy struct{ Runs int } }
	asked := make(chan error, 1)
	go func() {
		asked <- f.admin.Do(ctx, `mutation($id: ID!) { runPolicy(input: {id: $id}) { runs } }`, map[string]any{"id": f.rule}, &out)
	}()
	heard, err := e.next(ctx, len(f.idle), began)
	if err := errors.Join(err, <-asked); err != nil {
		return nil, err
	}
	if want := len(f.idle) + len(f.work); out.RunPolicy.Runs != want {
		return nil, fmt.Errorf("%d devices were asked, want %d", out.RunPolicy.Runs, want)
	}
	created, err := f.created(ctx)
	if err != nil {
		return nil, err
	}
	for _, at := range heard {
		took = append(took, at.Sub(created))
	}
	return took, nil
}

// created is when the rows of the newest runs were made.
func (f *fleet) created(ctx context.Context) (time.Time, error) {
	var out struct {
		Runs struct {
			Edges []struct{ Node struct{ CreatedAt time.Time } }
		}
	}
	err := f.admin.Do(ctx, `{ runs(fleet: true, first: 1) { edges { node { createdAt } } } }`, nil, &out)
	if err != nil || len(out.Runs.Edges) == 0 {
		return time.Time{}, errors.Join(err, errors.New("there are no runs"))
	}
	return out.Runs.Edges[0].Node.CreatedAt, nil
}
