//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/usage"
)

// dumpSteps are the steps of a round with two dumps.
var dumpSteps = []string{"first dump", "second dump"}

// spreadResult is all that was measured with one spread of changes.
type spreadResult struct {
	spread  spread
	size    int64 // of the second dump, bytes
	written written
	alone   int64 // what its changed and new rows take if they alone are stored
	bounds  []bound
	samples map[string][]sample
}

// dumps measures how the dumps of a database on two days are deduplicated, for every spread of the changes.
func (b *bench) dumps(ctx context.Context, who []string, makers map[string]func() peer) (*dumpReport, error) {
	dir := filepath.Join(b.dir, "dumps")
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	rep := &dumpReport{when: time.Now(), load: usage.Load(), rounds: b.rounds}
	who = slices.DeleteFunc(slices.Clone(who), func(w string) bool {
		_, ok := makers[w]().(streamer)
		return !ok
	})
	rep.who = who
	fmt.Fprintln(os.Stderr, "bench: writing the dump of the first day …")
	first := filepath.Join(dir, "first.sql")
	var err error
	if rep.first, rep.size, err = b.dump(first, "", nil); err != nil {
		return nil, err
	}
	for _, s := range spreads {
		res := &spreadResult{spread: s, samples: map[string][]sample{}}
		if res.written, res.size, err = b.dump(second(dir, s), differing(dir, s), &s); err != nil {
			return nil, err
		}
		syscall.Sync()
		for round := range b.rounds {
			for _, w := range who {
				sub := filepath.Join(dir, fmt.Sprintf("%s-%s-%d", s.name, w, round))
				sample, err := b.dumpRound(ctx, sub, []string{first, second(dir, s)}, makers[w]().(streamer))
				if err != nil {
					return nil, fmt.Errorf("%s on dumps, %s: %w", w, s.name, err)
				}
				res.samples[w] = append(res.samples[w], sample)
				fmt.Fprintf(os.Stderr, "bench: dumps, %s %d/%d %-9s %.2fs, then %.2fs\n", s.name, round+1, b.rounds, w,
					sample.cost[dumpSteps[0]].wall.Seconds(), sample.cost[dumpSteps[1]].wall.Seconds())
			}
		}
		rep.results = append(rep.results, res)
	}
	// Not before: Linux counts the memory of whoever starts a program as the program's own peak.
	for _, res := range rep.results {
		if res.alone, err = alone(differing(dir, res.spread)); err != nil {
			return nil, err
		}
		if res.bounds, err = bounds(first, second(dir, res.spread)); err != nil {
			return nil, err
		}
	}
	return rep, nil
}

func second(dir string, s spread) string    { return filepath.Join(dir, s.name+".sql") }
func differing(dir string, s spread) string { return filepath.Join(dir, s.name+".rows") }

// dump writes one dump into a file, and its changed and new rows into another, and returns its size.
func (b *bench) dump(name, differ string, next *spread) (w written, size int64, err error) {
	f, err := os.Create(name)
	if err != nil {
		return w, 0, err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	var rows io.Writer
	var kept bytes.Buffer
	if differ != "" {
		rows = &kept
	}
	if w, err = (shop{b.scale}).dump(f, next, rows); err != nil {
		return w, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return w, 0, err
	}
	if differ != "" {
		err = os.WriteFile(differ, kept.Bytes(), 0o644)
	}
	return w, info.Size(), err
}

// dumpRound backs up both dumps with one program, on an empty repository of its own, and makes sure that the second
// comes back as it was.
func (b *bench) dumpRound(ctx context.Context, dir string, dumps []string, p streamer) (s sample, err error) {
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
	for i, step := range dumpSteps {
		if _, err := sum(dumps[i]); err != nil { // everybody finds it in memory
			return s, err
		}
		syscall.Sync()
		if s.cost[step], err = p.Stream(ctx, dumps[i]); err != nil {
			return s, err
		}
		after, err := p.Server()
		if err != nil {
			return s, err
		}
		s.server[step] = usage.Usage{CPU: after.CPU - before.CPU, Peak: after.Peak, Children: after.Children}
		before = after
		if s.stored[step], err = p.Stored(); err != nil {
			return s, err
		}
	}
	back := filepath.Join(dir, "restored")
	if _, err := p.Restore(ctx, "", back); err != nil {
		return s, err
	}
	want, err := sum(dumps[1])
	if err != nil {
		return s, err
	}
	got, err := sum(filepath.Join(back, dumpName))
	if err == nil && got != want {
		err = fmt.Errorf("the second dump was restored with other content")
	}
	return s, err
}

// sum reads a file and returns its SHA-256.
func sum(name string) (s [sha256.Size]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return s, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	h.Sum(s[:0])
	return s, err
}

// dumpReport is the run with dumps, as Markdown.
type dumpReport struct {
	when    time.Time
	load    string
	rounds  int
	who     []string
	first   written
	size    int64 // of the first dump, bytes
	results []*spreadResult
}

// aim is how much a second dump may add, as a part of the first.
const aim = 0.15

func (r *dumpReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Dumps of two days, measured on %s\n\n", r.when.Format("2 January 2006"))
	fmt.Fprintf(&b, "`make bench` on %s, at a load average of %s before it began. Medians of %d rounds, in which the programs took turns, each on an empty repository; all servers on loopback.\n\n", usage.Machine(), r.load, r.rounds)
	fmt.Fprintf(&b, "A plain dump in the format of `pg_dump`, written from a seed without a server (`e2e/bench/shop.go`): the tables of a shop, %d rows, %s. ", r.first.rows, mib(r.size))
	b.WriteString("The dump of the next day has one row in a hundred of every table changed in its place, and one in a hundred new, at the table's end. ")
	b.WriteString("Its words are made up, so how far it can be compressed says little about other databases.\n\n")
	b.WriteString("Both dumps come through a pipe, as from a dump program: no size, no name of an earlier version. For Holdfast a program of the bench does it that calls `vault/backup` as the agent does with a device's credentials, without a cache, since `holdfast-agent` reads no standard input; ")
	b.WriteString("restic 0.19.1 does it as `restic backup --stdin` to rest-server 0.14.0. Stored is what the server's folder holds. CPU is client + server. Every repository cuts by a secret of its own, so the ratio varies from round to round. The second dump was restored every time and was as it had been.\n\n")
	fmt.Fprintf(&b, "The aim is that the second dump adds less than %.0f %% of what the first took.\n", 100*aim)
	for _, res := range r.results {
		b.WriteString("\n" + res.table(r.who))
	}
	b.WriteString("\n" + r.why())
	return b.String()
}

func (res *spreadResult) table(who []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s%s: %d rows changed, %d new, second dump %s.\n\n", res.spread.name,
		strings.ToUpper(res.spread.about[:1]), res.spread.about[1:], res.written.changed, res.written.added, mib(res.size))
	b.WriteString("| |")
	for _, w := range who {
		b.WriteString(" " + w + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(who)) + "\n")
	row := func(name string, of func(sample) float64, show func(float64) string) {
		fmt.Fprintf(&b, "| %s |", name)
		for _, w := range who {
			var values []float64
			for _, s := range res.samples[w] {
				values = append(values, of(s))
			}
			fmt.Fprintf(&b, " %s |", show(median(values)))
		}
		b.WriteString("\n")
	}
	size := func(v float64) string { return mib(int64(v)) }
	seconds := func(v float64) string { return fmt.Sprintf("%.2f s", v) }
	row("stored after the first", func(s sample) float64 { return float64(s.stored[dumpSteps[0]]) }, size)
	row("added by the second", func(s sample) float64 { return float64(s.added()) }, size)
	percent := func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }
	row("**second / first**", sample.share, func(v float64) string {
		if v < aim {
			return "**" + percent(v) + "**"
		}
		return "**" + percent(v) + "**, above the aim"
	})
	b.WriteString("| the least and the most of all rounds |")
	for _, w := range who {
		least, most := math.Inf(1), 0.0
		for _, s := range res.samples[w] {
			least, most = min(least, s.share()), max(most, s.share())
		}
		fmt.Fprintf(&b, " %s, %s |", percent(least), percent(most))
	}
	b.WriteString("\n")
	for _, step := range dumpSteps {
		row("time, "+step, func(s sample) float64 { return s.cost[step].wall.Seconds() }, seconds)
	}
	for _, step := range dumpSteps {
		row("CPU, "+step, func(s sample) float64 { return (s.cost[step].cpu + s.server[step].CPU).Seconds() }, seconds)
	}
	return b.String()
}

// added returns the bytes that the second dump added.
func (s sample) added() int64 { return s.stored[dumpSteps[1]] - s.stored[dumpSteps[0]] }

// share returns added as a part of what the first dump took.
func (s sample) share() float64 { return float64(s.added()) / float64(s.stored[dumpSteps[0]]) }

// why says what chunks of any size could have done.
func (r *dumpReport) why() string {
	var b strings.Builder
	b.WriteString("## What is possible\n\n")
	b.WriteString("A chunk is stored again if one byte in it changed. So what counts is not how many rows changed, but in how many chunks they lie. ")
	rows := float64(averages[len(averages)-1]) / (float64(r.size) / float64(r.first.rows))
	fmt.Fprintf(&b, "Of changes that can be anywhere, a chunk of 1 MiB, which has about %.0f rows here, has %.0f on average: none stays as it was, for any program with chunks of that size.\n\n", rows, rows/100)
	b.WriteString("Both dumps cut and sealed with chunks of other sizes, by the code of Holdfast, without a server (bodies of objects and their 20 bytes in the index of a pack; not the lists of chunks in the tree, which grow with the number of chunks):\n\n")
	b.WriteString("| average chunk | chunks | first dump |")
	for _, res := range r.results {
		b.WriteString(" " + res.spread.name + ": added |")
	}
	b.WriteString("\n|---:|" + strings.Repeat("---:|", 2+len(r.results)) + "\n")
	if len(r.results) > 0 {
		for i, of := range r.results[0].bounds {
			fmt.Fprintf(&b, "| %d KiB | %d | %s |", of.avg>>10, of.chunks, mib(of.first))
			for _, res := range r.results {
				o := res.bounds[i]
				fmt.Fprintf(&b, " %s, %.1f %% (%.1f %% of the text) |", mib(o.second), 100*float64(o.second)/float64(o.first), 100*float64(o.newPlain)/float64(o.plain))
			}
			b.WriteString("\n")
		}
		last := r.results[0].bounds[len(averages)-1].first
		b.WriteString("| the changed and new rows alone | | |")
		for _, res := range r.results {
			fmt.Fprintf(&b, " %s, %.1f %% |", mib(res.alone), 100*float64(res.alone)/float64(last))
		}
		b.WriteString("\n")
	}
	b.WriteString("\nThe last line is the floor of any method: it would have to know rows. ")
	b.WriteString("The percentages count from the first dump with the same chunk size (the last line: with 1 MiB). ")
	b.WriteString("Changed in its place is the premise of this measurement, and kinder than PostgreSQL: it writes a changed row's new version where there is room, and a dump shows rows as they lie, so that an update often changes two places.\n")
	return b.String()
}
