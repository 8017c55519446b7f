package policy

import "time"

// Bounds of what is written.
const (
	minDeadline     = time.Hour
	maxAutoDeadline = 24 * time.Hour
)
