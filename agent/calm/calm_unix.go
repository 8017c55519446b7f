//go:build unix

package calm

// niceness is how far the program steps back, from 0 to 19. One that is further back already stays there.
const niceness = 10
