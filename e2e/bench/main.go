//go:build linux

// Command bench measures Holdfast beside its peers, in one run, on the same data and machine: first backup,
// unchanged backup, changed backup, full restore, what is stored, and what it costs in CPU and memory. Then how dumps
// of a database on two days are deduplicated.
//
// Peers take turns within each round, so that a slow minute of the machine hits all of them; the table
// shows medians. Before a measurement the data is read once, so that every program finds it in memory, and
// after it the disk is made to catch up, so that nobody pays for the one before.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/usage"
)

func main() {
	var b bench
	flag.StringVar(&b.bin, "bin", "bin", "the folder that make build wrote")
	flag.StringVar(&b.out, "out", "", "folder for the report; empty: print it only")
	flag.StringVar(&b.only, "data", "office,small,large,dumps", "which data sets")
	flag.StringVar(&b.who, "peers", "holdfast,restic,kopia-server,kopia-disk", "which programs")
	flag.IntVar(&b.rounds, "rounds", 3, "rounds, of which the table shows the medians")
	flag.Float64Var(&b.scale, "scale", 1, "size of the data sets: 0.1 for a quick look")
	flag.StringVar(&b.dir, "dir", "", "where to work: needs about 60 GiB; empty: a temporary folder")
	stream := flag.String("stream", "", "back up standard input with the agent's state in this folder, and nothing else: how this program calls itself")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	work := b.run
	if *stream != "" {
		work = func(ctx context.Context) error { return pipe(ctx, os.Stdin, *stream) }
	}
	if err := work(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

type bench struct {
	bin, out, only, who, dir string
	rounds                   int
	scale                    float64
}

// The steps of a round, in their order.
var steps = []string{"first backup", "unchanged backup", "changed backup", "full restore"}

// sample is one round of one program.
type sample struct {
	cost   map[string]cost
	server map[string]usage.Usage // what the step added to the server's CPU; memory at its end
	stored map[string]int64       // after first and changed backup
}

func (b *bench) run(ctx context.Context) error {
	progs, err := build(ctx, b.who)
	if err != nil {
		return err
	}
	if b.dir == "" {
		if b.dir, err = os.MkdirTemp("", "holdfast-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(b.dir)
	}
	if err := os.Chmod(b.dir, 0o711); err != nil {
		return err
	}
	makers := map[string]func() peer{
		"holdfast":     func() peer { return &holdfast{bin: b.bin} },
		"restic":       func() peer { return &restic{p: progs} },
		"kopia-server": func() peer { return &kopia{p: progs, server: true} },
		"kopia-disk":   func() peer { return &kopia{p: progs} },
	}
	who := strings.Split(b.who, ",")
	for _, w := range who {
		if makers[w] == nil {
			return fmt.Errorf("there is no program %q to measure", w)
		}
	}
	report := report{rounds: b.rounds, who: who, when: time.Now()}
	for _, d := range datasets {
		if !strings.Contains(","+b.only+",", ","+d.name+",") {
			continue
		}
		res, err := b.dataset(ctx, d, who, makers)
		if err != nil {
			return err
		}
		report.results = append(report.results, res)
		fmt.Println(res.table(who))
	}
	if len(report.results) > 0 {
		if err := b.write("", report.String()); err != nil {
			return err
		}
	}
	if !strings.Contains(","+b.only+",", ",dumps,") {
		return nil
	}
	dumps, err := b.dumps(ctx, who, makers)
	if err != nil {
		return err
	}
	fmt.Println(dumps)
	return b.write("-dumps", dumps.String())
}

// write writes a report into the folder for them, if there is one.
func (b *bench) write(suffix, text string) error {
	if b.out == "" {
		return nil
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	name := filepath.Join(b.out, time.Now().Format("2006-01-02")+suffix+".md")
	fmt.Println("written to", name)
	return os.WriteFile(name, []byte(text), 0o644)
}

func (b *bench) dataset(ctx context.Context, d dataset, who []string, makers map[string]func() peer) (*result, error) {
	dir := filepath.Join(b.dir, d.name)
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintf(os.Stderr, "bench: making %s …\n", d.name)
	if err := d.make(data, b.scale); err != nil {
		return nil, err
	}
	syscall.Sync()
	res := &result{dataset: d, samples: map[string][]sample{}}
	for round := range b.rounds {
		for _, w := range who {
			began := time.Now()
			files, bytes, err := cat(ctx, data)
			if err != nil {
				return nil, err
			}
			res.files, res.bytes = files, bytes
			res.floor = append(res.floor, time.Since(began))
			s, err := b.round(ctx, filepath.Join(dir, fmt.Sprintf("%s-%d", w, round)), data, makers[w]())
			if err != nil {
				return nil, fmt.Errorf("%s on %s: %w", w, d.name, err)
			}
			res.samples[w] = append(res.samples[w], s)
			fmt.Fprintf(os.Stderr, "bench: %s %d/%d %-13s", d.name, round+1, b.rounds, w)
			for _, step := range steps {
				fmt.Fprintf(os.Stderr, " %s %.2fs", step, s.cost[step].wall.Seconds())
			}
			fmt.Fprintln(os.Stderr)
		}
	}
	return res, nil
}

// round runs all steps with one program, on an empty repository of its own. Nothing is deleted before all
// rounds are over: ext4 makes new files many times slower for a while after many were deleted, and whoever
// comes next would pay for it.
func (b *bench) round(ctx context.Context, dir, data string, p peer) (s sample, err error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return s, err
	}
	defer func() {
		if stopped := p.Stop(); err == nil {
			err = stopped
		}
	}()
	if err := p.Start(ctx, dir); err != nil {
		return s, err
	}
	s = sample{map[string]cost{}, map[string]usage.Usage{}, map[string]int64{}}
	before, err := p.Server()
	if err != nil {
		return s, err
	}
	step := func(name string, do func() (cost, error)) error {
		syscall.Sync()
		c, err := do()
		if err != nil {
			return err
		}
		s.cost[name] = c
		after, err := p.Server()
		if err != nil {
			return err
		}
		s.server[name] = usage.Usage{CPU: after.CPU - before.CPU, Peak: after.Peak, Children: after.Children}
		before = after
		if strings.HasSuffix(name, "backup") {
			s.stored[name], err = p.Stored()
		}
		return err
	}
	backup := func() (cost, error) { return p.Backup(ctx, data) }
	if err := step(steps[0], backup); err != nil {
		return s, err
	}
	if err := step(steps[1], backup); err != nil {
		return s, err
	}
	undo, err := mutate(data, filepath.Join(b.dir, "originals"))
	if err != nil {
		return s, err
	}
	defer func() {
		if undone := undo(); err == nil {
			err = undone
		}
	}()
	if err := step(steps[2], backup); err != nil {
		return s, err
	}
	dst := filepath.Join(dir, "restored")
	if err := step(steps[3], func() (cost, error) { return p.Restore(ctx, data, dst) }); err != nil {
		return s, err
	}
	return s, b.complete(ctx, data, dst)
}

// complete refuses to count a restore that did not bring back every file.
func (b *bench) complete(ctx context.Context, data, dst string) error {
	files, bytes, err := cat(ctx, data)
	if err != nil {
		return err
	}
	gotFiles, gotBytes, err := cat(ctx, dst)
	if err != nil {
		return err
	}
	if files != gotFiles || bytes != gotBytes {
		return fmt.Errorf("restored %d files of %d bytes, want %d of %d", gotFiles, gotBytes, files, bytes)
	}
	return nil
}
