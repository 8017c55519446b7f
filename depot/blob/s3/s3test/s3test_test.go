//go:build unix

package s3test

import "testing"

// TestStart is also what set-up runs to have the program built before tests that are in a hurry.
func TestStart(t *testing.T) {
	t.Parallel()
	Start(t).Bucket(t, "bucket")
}
