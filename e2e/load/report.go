//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/usage"
)

// times are durations of many of a kind.
type times []time.Duration

// at returns the duration that a share of them does not exceed.
func (t times) at(share float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// String is the report as Markdown.
func (r *report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Load of %s\n\n", r.when.Format("2 January 2006"))
	fmt.Fprintf(&b, "`make bench` on %s, at a load average of %s before it began. One `holdfast up` with its private PostgreSQL and Redis; "+
		"the generator is on the same machine and takes its share of it.\n\n", usage.Machine(), r.load)
	fmt.Fprintf(&b, "## %d idle subscriptions, %d backups at once\n\n", r.Idle, r.Backups)
	b.WriteString("Memory: the program's resident set, and behind the plus sign what its PostgreSQL and Redis take, pages that they share counted once.\n\n")
	b.WriteString("| | memory |\n|---|---:|\n")
	memory := func(what string, u usage.Usage) {
		fmt.Fprintf(&b, "| %s | %s + %s |\n", what, mib(u.RSS), mib(u.Children))
	}
	memory("without a device", r.bare)
	memory(fmt.Sprintf("with %d subscriptions", r.Idle), r.idle)
	memory("after all of them were rung", r.rung)
	memory(fmt.Sprintf("after %d backups", r.Backups), r.busy)
	fmt.Fprintf(&b, "| the program's peak | %s |\n", mib(r.busy.Peak))
	fmt.Fprintf(&b, "| all together at the most, while backups ran | %s |\n\n", mib(r.busiest))
	fmt.Fprintf(&b, "Connecting all %d took %.1f s.\n\n", r.Idle, r.connect.Seconds())
	b.WriteString("| latency | median | 99 % | largest |\n|---|---:|---:|---:|\n")
	row := func(what string, t times) {
		fmt.Fprintf(&b, "| %s (%d) | %s | %s | %s |\n", what, len(t), ms(t.at(0.5)), ms(t.at(0.99)), ms(t.at(1)))
	}
	row("from a run's row to its ring, one device at a time", r.one)
	row("likewise, all devices rung by one order", r.all)
	row("a backup of 20 files of 10 KiB, all at once", r.took)
	fmt.Fprintf(&b, "\nThe backups were done after %.1f s together and sent %s; the server, PostgreSQL and Redis used %.1f s of CPU meanwhile.\n",
		r.wall.Seconds(), mib(r.sent), r.cpu.Seconds())
	return b.String()
}

// result is a line of a benchmark, with the figures that it reports.
var result = regexp.MustCompile(`(?m)^(BenchmarkCollect/\S+)\s+\d+\s+(.*)$`)

// collect measures the cleaning of a space of a million objects in a hundred snapshots, by the benchmark of depot/catalog, and returns a table.
func collect(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkCollect$", "-benchtime", "1x", "-timeout", "30m",
		"github.com/holdfast-backup/holdfast/depot/catalog")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("the benchmark of cleaning: %w\n%s", err, out)
	}
	lines := result.FindAllStringSubmatch(string(out), -1)
	if len(lines) == 0 {
		return "", fmt.Errorf("the benchmark of cleaning printed no figures:\n%s", out)
	}
	var b strings.Builder
	b.WriteString("## Cleaning a space of 1,000,000 objects and 100 snapshots\n\n")
	b.WriteString("Fifty of the snapshots are deleted for good; marking may use so much memory for chunks. Peak: of the heap, beyond what was in use before.\n\n")
	b.WriteString("| memory for marking | time | peak | passes | objects deleted |\n|---|---:|---:|---:|---:|\n")
	for _, l := range lines {
		figures := map[string]string{}
		fields := strings.Fields(l[2])
		for i := 0; i+1 < len(fields); i += 2 {
			figures[fields[i+1]] = fields[i]
		}
		var ns float64
		if _, err := fmt.Sscan(figures["ns/op"], &ns); err != nil {
			return "", fmt.Errorf("the benchmark of cleaning printed %q", l[0])
		}
		budget, _, _ := strings.Cut(strings.TrimPrefix(l[1], "BenchmarkCollect/"), "-")
		fmt.Fprintf(&b, "| %s | %.1f s | %s MiB | %s | %s |\n", strings.Replace(budget, "MiB", " MiB", 1), ns/1e9, figures["peak-MiB"], figures["passes"], figures["deleted"])
	}
	return b.String(), nil
}
