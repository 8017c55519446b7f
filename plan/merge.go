package plan

import (
	"cmp"
	"slices"
)

// Policy is what [Merge] and an agent need of a policy.
type Policy struct {
	ID          string
	Name        string
	Roots       []string // see [CheckRoot]
	Extensions  []string // none: every file
	Excludes    []string
	MaxFileSize int64  // bytes; 0: no limit
	Level       string // "none", "fast", "default" or "better"; "": no wish
	UploadLimit int64  // bytes a second; 0: no limit
	Retention   Retention
	Zone        string // of the retention
}

// Selection is what one policy takes: every file below its roots that passes its filters.
type Selection struct {
	Policy      string // its id; of several policies that select the same, the smallest one
	Name        string
	Roots       []string // sorted
	Extensions  []string // sorted; none: every file
	Excludes    []string // in order: the last pattern that matches decides
	MaxFileSize int64    // bytes; 0: no limit
}

// Effective is what several policies come to on one device.
type Effective struct {
	Selections  []Selection // a file is saved if any of them takes it
	Level       string      // "": none has a wish
	UploadLimit int64       // bytes a second; 0: no limit
	Rules       []Rule      // a snapshot is kept if any of them keeps it
}

// Levels of compression, from the weakest.
var levels = []string{"none", "fast", "default", "better"}

// Merge is the rule for several policies on one device.
//
//   - What is saved: what any policy asks for. Each keeps its own roots, extensions, excludes and size limit, so that
//     no policy takes away what another one saves. Policies that select the same are one selection.
//   - Compression: the strongest level that is asked for.
//   - Bandwidth: the lowest limit that is set.
//   - Retention: what any policy keeps. One that keeps everything therefore wins.
//
// The order of the policies does not matter, nor does giving one twice. A policy without roots saves nothing, but its other
// wishes count. A level that is not known is no wish.
func Merge(policies []Policy) Effective {
	var e Effective
	for _, p := range policies {
		s := Selection{p.ID, p.Name, set(p.Roots), set(p.Extensions), copyOf(p.Excludes), max(p.MaxFileSize, 0)}
		if len(s.Roots) > 0 {
			e.Selections = append(e.Selections, s)
		}
		if slices.Index(levels, p.Level) > slices.Index(levels, e.Level) {
			e.Level = p.Level
		}
		if p.UploadLimit > 0 && (e.UploadLimit == 0 || p.UploadLimit < e.UploadLimit) {
			e.UploadLimit = p.UploadLimit
		}
		e.Rules = append(e.Rules, Rule{p.Retention, p.Zone})
	}
	slices.SortFunc(e.Selections, func(a, b Selection) int { return cmp.Or(compareWhat(a, b), compareWhose(a, b)) })
	e.Selections = slices.CompactFunc(e.Selections, func(a, b Selection) bool { return compareWhat(a, b) == 0 })
	slices.SortFunc(e.Selections, func(a, b Selection) int { return cmp.Or(compareWhose(a, b), compareWhat(a, b)) })
	slices.SortFunc(e.Rules, compareRules)
	e.Rules = slices.Compact(e.Rules)
	return e
}

func compareWhat(a, b Selection) int {
	return cmp.Or(slices.Compare(a.Roots, b.Roots), slices.Compare(a.Extensions, b.Extensions),
		slices.Compare(a.Excludes, b.Excludes), cmp.Compare(a.MaxFileSize, b.MaxFileSize))
}

func compareWhose(a, b Selection) int {
	return cmp.Or(cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Name, b.Name))
}

func compareRules(a, b Rule) int {
	return cmp.Or(cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.Days, b.Days), cmp.Compare(a.Last, b.Last), cmp.Compare(a.Daily, b.Daily),
		cmp.Compare(a.Weekly, b.Weekly), cmp.Compare(a.Monthly, b.Monthly), cmp.Compare(a.Yearly, b.Yearly))
}

// set returns the words sorted, each once; nil if there are none.
func set(words []string) []string {
	words = copyOf(words)
	slices.Sort(words)
	return slices.Compact(words)
}

// copyOf is nil for what is empty, so that equal selections are equal in every respect.
func copyOf(words []string) []string { return append([]string(nil), words...) }
