//go:build race

package seal

// The race detector makes pools forget at random, so what a steady state costs cannot be measured under it.
func init() { poolsForget = true }
