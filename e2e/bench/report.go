//go:build linux

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/usage"
)

// result is all that was measured on one data set.
type result struct {
	dataset dataset
	files   int64
	bytes   int64
	floor   []time.Duration
	samples map[string][]sample
}

// report is the whole run, as Markdown.
type report struct {
	when    time.Time
	rounds  int
	who     []string
	results []*result
}

func (r report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmark of %s\n\n", r.when.Format("2 January 2006"))
	fmt.Fprintf(&b, "`make bench` on %s. Medians of %d rounds, in which the programs took turns; all servers on loopback.\n", usage.Machine(), r.rounds)
	b.WriteString("restic 0.19.1 speaks HTTP to rest-server 0.14.0; kopia 0.22.3 with zstd-fastest speaks gRPC over TLS to its repository server, which encrypts, or writes straight to disk. ")
	b.WriteString("The ratio is Holdfast's figure over that of the best networked peer: below 1 is better. CPU is client + server. Memory is the client's peak; ")
	b.WriteString("the server's is its own peak and, behind the plus sign, its database and queue.\n")
	for _, res := range r.results {
		b.WriteString("\n" + res.table(r.who))
	}
	return b.String()
}

// networked reports whether a program is a peer in the full sense: through a server.
func networked(who string) bool { return who != "holdfast" && who != "kopia-disk" }

func (res *result) table(who []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s: %d files, %s. Reading them all with one thread (`cat`) takes %.2f s.\n\n",
		res.dataset.name, res.dataset.about, res.files, mib(res.bytes), median(res.floor).Seconds())
	b.WriteString("| |")
	for _, w := range who {
		b.WriteString(" " + w + " |")
	}
	b.WriteString(" ratio |\n|---|" + strings.Repeat("---:|", len(who)+1) + "\n")
	for _, step := range steps {
		res.row(&b, who, step, func(s sample) float64 { return s.cost[step].wall.Seconds() }, func(v float64) string { return fmt.Sprintf("%.2f s", v) })
	}
	for _, step := range []string{steps[0], steps[2]} {
		res.row(&b, who, "stored after "+step, func(s sample) float64 { return float64(s.stored[step]) }, func(v float64) string { return mib(int64(v)) })
	}
	for _, step := range steps {
		res.row(&b, who, "CPU, "+step, func(s sample) float64 { return (s.cost[step].cpu + s.server[step].CPU).Seconds() }, func(v float64) string { return fmt.Sprintf("%.1f s", v) })
	}
	res.row(&b, who, "client's peak memory", func(s sample) float64 {
		var peak int64
		for _, c := range s.cost {
			peak = max(peak, c.rss)
		}
		return float64(peak)
	}, func(v float64) string { return mib(int64(v)) })
	b.WriteString("| server's peak memory |")
	for _, w := range who {
		var own, children []int64
		for _, s := range res.samples[w] {
			last := s.server[steps[len(steps)-1]]
			own, children = append(own, last.Peak), append(children, last.Children)
		}
		if median(own) == 0 {
			b.WriteString(" - |")
		} else if c := median(children); c > 0 {
			fmt.Fprintf(&b, " %s + %s |", mib(median(own)), mib(c))
		} else {
			fmt.Fprintf(&b, " %s |", mib(median(own)))
		}
	}
	b.WriteString(" |\n")
	return b.String()
}

// row prints the median of a figure for each program, and the ratio to the best networked peer.
func (res *result) row(b *strings.Builder, who []string, name string, of func(sample) float64, show func(float64) string) {
	fmt.Fprintf(b, "| %s |", name)
	var ours, best float64
	for _, w := range who {
		var values []float64
		for _, s := range res.samples[w] {
			values = append(values, of(s))
		}
		m := median(values)
		fmt.Fprintf(b, " %s |", show(m))
		if w == "holdfast" {
			ours = m
		} else if networked(w) && (best == 0 || m < best) {
			best = m
		}
	}
	if ours > 0 && best > 0 {
		fmt.Fprintf(b, " %.2f |\n", ours/best)
	} else {
		b.WriteString(" |\n")
	}
}

func median[T cmp.Ordered](values []T) T {
	var zero T
	if len(values) == 0 {
		return zero
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
