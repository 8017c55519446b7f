//go:build linux

package web

import (
	"regexp"
	"slices"
	"time"
)

// moves gives the second person another address, which counts once the code is typed that was mailed there.
func (x *scenario) moves() {
	b := x.ben
	b.goes("/profile")
	b.press("Change it")
	b.types("New address", "benjamin@example.net")
	b.types("Your password", benPassword)
	b.press("Change the address")
	b.sees("A code was mailed to benjamin@example.net")
	b.types("Code from the mail", "AAAA-AAAA")
	b.press("Confirm the address")
	b.sees("not the code")
	b.types("Code from the mail", x.mailed("benjamin@example.net"))
	b.press("Confirm the address")
	b.lacks("Confirm your new address")
	b.sees("benjamin@example.net")
}

var mailedCode = regexp.MustCompile(`\b[0-9A-Z]{4}-[0-9A-Z]{4}\b`)

// mailed waits for the code that is mailed to an address.
func (x *scenario) mailed(to string) string {
	x.Helper()
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		for _, m := range x.post.Messages() {
			if code := mailedCode.FindString(m.Text); code != "" && slices.Contains(m.To, to) {
				return code
			}
		}
	}
	x.Fatalf("no code was mailed to %s", to)
	return ""
}
