//go:build linux

// Package usage measures what programs cost, by what Linux shows of processes.
package usage

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process and all its descendants have used.
type Usage struct {
	CPU      time.Duration // of all of them
	RSS      int64         // of the process itself now, bytes
	Peak     int64         // of the process itself, bytes
	Children int64         // proportional set size of its descendants now, bytes
}

// clockTick is USER_HZ, which Linux fixes at 100 for everything that it shows to programs.
const clockTick = 100

// Of reads /proc for a process and its descendants, including those that have ended.
func Of(pid int) (Usage, error) {
	parents := map[int]int{}
	ticks := map[int]int64{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return Usage{}, err
	}
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it ended meanwhile
		}
		// The command name, in parentheses, may hold anything.
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		p, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(name, "/proc/"), "/stat"))
		if err != nil || len(fields) < 15 {
			continue
		}
		parents[p], _ = strconv.Atoi(fields[1])
		for _, f := range fields[11:15] { // utime stime cutime cstime
			n, _ := strconv.ParseInt(f, 10, 64)
			ticks[p] += n
		}
	}
	var u Usage
	for p := range parents {
		for up, hops := p, 0; up > 1 && hops < 64; up, hops = parents[up], hops+1 {
			if up != pid {
				continue
			}
			u.CPU += time.Duration(ticks[p]) * time.Second / clockTick
			if p != pid {
				u.Children += kib(filepath.Join("/proc", strconv.Itoa(p), "smaps_rollup"), "Pss:")
			}
			break
		}
	}
	status := filepath.Join("/proc", strconv.Itoa(pid), "status")
	u.RSS, u.Peak = kib(status, "VmRSS:"), kib(status, "VmHWM:")
	return u, nil
}

// kib reads a line such as "VmHWM:  1234 kB" and returns bytes, 0 if there is none.
func kib(name, field string) int64 {
	f, err := os.Open(name)
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), field); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n * 1024
		}
	}
	return 0
}

// Machine describes this machine in a line.
func Machine() string {
	cpu := "unknown CPU"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				cpu = strings.TrimSpace(v)
				break
			}
		}
	}
	return fmt.Sprintf("%d CPUs (%s), %s, %s/%s", runtime.NumCPU(), cpu, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// Load is the machine's load average of the last minute: how many others wanted to work meanwhile.
func Load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	load, _, _ := strings.Cut(string(b), " ")
	return load
}
