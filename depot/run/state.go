package run

import (
	"fmt"
	"slices"
)

// arrow is a change of state that may be.
type arrow struct {
	from, to State // from "": the row is made
	by       string
	when     string
}

// Who makes arrows.
const (
	byTick   = "tick"
	byPerson = "person"
	byDevice = "device"
	bySweep  = "sweep"
)

// arrows is the whole of it. What is not here does not happen. Those of the sweep for one device are also made when that
// device asks for work.
var arrows = []arrow{
	{"", Waiting, byTick, "a slot has come"},
	{"", Waiting, byPerson, "a backup or a probe was asked for, a restore ordered"},
	{"", Waiting, byDevice, "somebody at the device wants a backup"},
	{"", Missed, byTick, "a slot's deadline had passed before its row was written"},

	{Waiting, Running, byDevice, "it took the run"},
	{Waiting, Cancelled, byPerson, "somebody cancelled it"},
	{Waiting, Cancelled, byDevice, "it asked for work, and no policy says any more what to save"},
	{Waiting, Cancelled, bySweep, "its device was revoked, or has the application no more"},
	{Waiting, Missed, bySweep, "its deadline has passed, and no device had begun"},
	{Waiting, Failed, bySweep, "its deadline has passed after attempts that did not succeed"},

	{Running, Succeeded, byDevice, "it said so, and the server found it true"},
	{Running, Warned, byDevice, "likewise, but some files could not be read, or restored, or a probe found something to mend"},
	{Running, Failed, byDevice, "it failed for good, or for the last time"},
	{Running, Cancelled, byDevice, "it stopped because it was asked to, or on its own account"},
	{Running, Waiting, byDevice, "it failed, trying again may help, and there is time"},

	{Running, Succeeded, bySweep, "it is silent, but its snapshot was committed"},
	{Running, Warned, bySweep, "likewise, with files that could not be read"},
	{Running, Cancelled, bySweep, "it is silent, and was asked to stop, or its device was revoked"},
	{Running, Waiting, bySweep, "it is silent, and there is time"},
	{Running, Failed, bySweep, "it is silent, and its deadline has passed"},
}

// states is all of them, in the order of a run's life.
var states = []State{Waiting, Running, Succeeded, Warned, Failed, Missed, Cancelled}

// Over reports whether the state is final.
func (s State) Over() bool { return s != Waiting && s != Running }

// good reports whether what was asked for was done.
func (s State) good() bool { return s == Succeeded || s == Warned }

func may(from, to State, by string) bool {
	return slices.ContainsFunc(arrows, func(a arrow) bool { return a.from == from && a.to == to && a.by == by })
}

// move follows an arrow. One that is not in the table is a mistake of this package, and nothing is written.
func (r *row) move(to State, by string) error {
	if !may(r.State, to, by) {
		return fmt.Errorf("run %s: no arrow leads from %s to %s by %s", r.ID, r.State, to, by)
	}
	r.was, r.State = r.State, to
	return nil
}
