package dump

import "sort"

// counts are rows by the tables' names.
type counts map[string]int64

// list returns the tables by name, but for those to skip.
func (c counts) list(skip map[string]bool) []Table {
	tables := make([]Table, 0, len(c))
	for n, rows := range c {
		if !skip[n] {
			tables = append(tables, Table{Name: n, Rows: rows})
		}
	}
	sort.Slice(tables, func(i, j int) bool { return tables[i].Name < tables[j].Name })
	return tables
}
