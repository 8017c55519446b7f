package run

// Arrow is one line of the table of states.
type Arrow struct {
	From, To State
	By, When string
}

// Arrows is the table.
func Arrows() (list []Arrow) {
	for _, a := range arrows {
		list = append(list, Arrow{a.from, a.to, a.by, a.when})
	}
	return list
}

// States is all states; Makers, all who make arrows.
var (
	States = states
	Makers = []string{byTick, byPerson, byDevice, bySweep}
)

// Move tries an arrow on a run.
func Move(from, to State, by string) (State, error) {
	r := &row{State: from}
	err := r.move(to, by)
	return r.State, err
}

// Spread is spread.
var Spread = spread
