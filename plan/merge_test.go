package plan

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	if got := Merge(nil); !reflect.DeepEqual(got, Effective{}) {
		t.Errorf("no policy comes to %+v", got)
	}
	office := Policy{ID: "pol_b", Name: "Office", Roots: []string{"~documents", "~desktop", "~documents"}, Extensions: []string{".xlsx", ".docx"},
		Excludes: []string{"*.tmp", "!keep.tmp"}, MaxFileSize: 1 << 30, Level: "fast", UploadLimit: 5000, Retention: Retention{Days: 30}, Zone: "Europe/Athens"}
	all := Policy{ID: "pol_c", Name: "Everything", Roots: []string{"~documents"}, Excludes: []string{"old/"}, Level: "better", UploadLimit: 9000, Retention: Retention{Daily: 7}}
	got := Merge([]Policy{all, office})
	want := Effective{
		Selections: []Selection{
			{"pol_b", "Office", []string{"~desktop", "~documents"}, []string{".docx", ".xlsx"}, []string{"*.tmp", "!keep.tmp"}, 1 << 30},
			{"pol_c", "Everything", []string{"~documents"}, nil, []string{"old/"}, 0},
		},
		Level:       "better",
		UploadLimit: 5000,
		Rules:       []Rule{{Retention{Daily: 7}, ""}, {Retention{Days: 30}, "Europe/Athens"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}

	twin := office
	twin.ID, twin.Name, twin.Roots, twin.Level, twin.UploadLimit = "pol_a", "Twin", []string{"~documents", "~desktop"}, "", 0
	if got := Merge([]Policy{office, twin}); len(got.Selections) != 1 || got.Selections[0].Policy != "pol_a" || got.Level != "fast" || got.UploadLimit != 5000 || len(got.Rules) != 1 {
		t.Errorf("two that select the same come to %+v", got)
	}
	twin.Excludes = []string{"!keep.tmp", "*.tmp"}
	if got := Merge([]Policy{office, twin}); len(got.Selections) != 2 {
		t.Errorf("excludes in another order come to %+v", got)
	}
	nowhere := Policy{ID: "pol_d", Level: "none", UploadLimit: 100, MaxFileSize: -1}
	if got := Merge([]Policy{nowhere}); got.Selections != nil || got.Level != "none" || got.UploadLimit != 100 || len(got.Rules) != 1 {
		t.Errorf("a policy without roots comes to %+v", got)
	}
	if got := Merge([]Policy{{Roots: []string{"/"}, Level: "ultra", UploadLimit: -5, MaxFileSize: -1}}); got.Level != "" || got.UploadLimit != 0 || got.Selections[0].MaxFileSize != 0 {
		t.Errorf("wishes that are none come to %+v", got)
	}
	for i, level := range []string{"none", "fast", "default", "better"} {
		for _, weaker := range []string{"", "none", "fast", "default", "better"}[:i+2] {
			if got := Merge([]Policy{{Level: weaker}, {Level: level}}); got.Level != level {
				t.Errorf("%q and %q come to %q", weaker, level, got.Level)
			}
		}
	}
}

func TestMergeLeavesPoliciesAlone(t *testing.T) {
	t.Parallel()
	p := Policy{Roots: []string{"b", "a"}, Extensions: []string{".b", ".a"}, Excludes: []string{"z", "y"}}
	e := Merge([]Policy{p})
	e.Selections[0].Excludes[0] = "changed"
	if !slices.Equal(p.Roots, []string{"b", "a"}) || !slices.Equal(p.Extensions, []string{".b", ".a"}) || !slices.Equal(p.Excludes, []string{"z", "y"}) {
		t.Errorf("the policy became %+v", p)
	}
}

func policies() *rapid.Generator[[]Policy] {
	words := func(from ...string) *rapid.Generator[[]string] { return rapid.SliceOfN(rapid.SampledFrom(from), 0, 3) }
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Policy {
		return Policy{
			ID: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "id"), Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"),
			Roots: words("/", "~", "~documents").Draw(t, "roots"), Extensions: words(".a", ".b").Draw(t, "extensions"), Excludes: words("x", "y").Draw(t, "excludes"),
			MaxFileSize: rapid.Int64Range(-1, 2).Draw(t, "size"), Level: rapid.SampledFrom([]string{"", "none", "fast", "default", "better", "odd"}).Draw(t, "level"),
			UploadLimit: rapid.Int64Range(-1, 3).Draw(t, "limit"), Retention: Retention{Daily: rapid.IntRange(0, 2).Draw(t, "daily")}, Zone: rapid.SampledFrom([]string{"", "Asia/Tokyo"}).Draw(t, "zone"),
		}
	}), 0, 6)
}

// merged undoes Merge as far as that is possible, so that what was merged can be merged again.
func merged(e Effective) []Policy {
	var list []Policy
	for _, s := range e.Selections {
		list = append(list, Policy{ID: s.Policy, Name: s.Name, Roots: s.Roots, Extensions: s.Extensions, Excludes: s.Excludes, MaxFileSize: s.MaxFileSize})
	}
	for _, r := range e.Rules {
		list = append(list, Policy{Retention: r.Retention, Zone: r.Zone})
	}
	return append(list, Policy{Level: e.Level, UploadLimit: e.UploadLimit})
}

func TestMergeHasNoOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := policies().Draw(t, "some"), policies().Draw(t, "others")
		want := Merge(append(slices.Clone(a), b...))
		if got := Merge(append(slices.Clone(b), a...)); !reflect.DeepEqual(got, want) {
			t.Fatalf("others first: %+v; want %+v", got, want)
		}
		if got := Merge(rapid.Permutation(append(slices.Clone(b), append(a, b...)...)).Draw(t, "any order, and some twice")); !reflect.DeepEqual(got, want) {
			t.Fatalf("in any order: %+v; want %+v", got, want)
		}
		// What was merged before may be merged again, but for the rules: those of the stand-ins are zero.
		got := Merge(append(merged(Merge(a)), merged(Merge(b))...))
		got.Rules, want.Rules = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("in two steps: %+v; want %+v", got, want)
		}
		for i, s := range want.Selections {
			for _, other := range want.Selections[:i] {
				if compareWhat(s, other) == 0 {
					t.Fatalf("%+v and %+v select the same", s, other)
				}
			}
		}
	})
}
