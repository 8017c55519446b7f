package ui

import (
	"sync/atomic"

	"github.com/maxence-charriere/go-app/v10/pkg/app"
)

var handlers atomic.Uint64

// fresh makes a handler replace the one of the last render. go-app takes two handlers for the same if their code is, whatever they captured:
// without this a button in a table would go on acting on the row that stood there before. Every piece that calls a function of
// its owner's needs it.
func fresh() app.EventOption { return app.EventScope(handlers.Add(1)) }

// Fresh is fresh for screens: every handler of theirs needs it that is a function literal and uses what may be another at the next render.
func Fresh() app.EventOption { return fresh() }
