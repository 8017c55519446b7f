// Package calm makes this program step back behind the person's own.
//
//	Linux    nice 10 and the idle class of I/O, for every thread
//	macOS    nice 10
//	Windows  a priority below normal; not the background mode, which takes memory away as well
//
// A service has the same from its definition (agent/service); this is for an agent that somebody starts otherwise. There
// is no way back: who is not root may lower a priority, and not raise it.
//
// What is not promised: where the system shares out the processor among groups of programs before it looks at
// single ones, as Linux does among cgroups, a low priority counts inside the own group only. And a disk
// scheduler that knows no classes ignores them.
package calm
