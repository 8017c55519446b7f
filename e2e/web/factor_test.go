//go:build linux

package web

import (
	"strings"
	"time"

	"github.com/pquerna/otp/totp"
)

// secondFactor sets one up, comes in with it, wants one of other administrators, and switches it off again.
func (x *scenario) secondFactor() {
	a := x.ada
	a.press("Settings", "Administrators need a second factor", "Save the settings")
	a.sees("set up a second factor of your own first")
	a.press("Administrators need a second factor", "Profile") // turned back, nothing is unsaved
	code, codes := x.setsUp(a, adaNew)
	a.sees("10 backup codes are left")

	// The same page opens again without a code; a new login does not.
	a.press("Ada Lovelace", "Lock")
	a.types("Password", adaNew)
	a.press("Unlock")
	a.sees("Administration")
	a.press("Ada Lovelace", "Log out")
	a.types("E-mail address", "ada@example.org")
	a.types("Password", adaNew)
	a.press("Log in")
	a.sees("One more step")
	a.types("Code", code)
	a.press("Log in")
	a.sees("wrong or was used already")
	a.types("Code", strings.ToLower(codes[0]))
	a.press("Log in")
	a.sees("Administration")

	x.demanded()

	a.press("Profile")
	a.sees("9 backup codes are left")
	a.press("Switch it off")
	a.types("Your password", adaNew)
	a.types("Code of the second factor", codes[1])
	a.press("Switch the second factor off? > Switch it off")
	a.sees("Set it up")
}

// setsUp sets up the second factor of somebody, and returns the code that it showed and the backup codes.
func (x *scenario) setsUp(p person, password string) (code string, codes []string) {
	x.Helper()
	p.press("Set it up")
	p.types("Your password", password)
	p.press("Go on")
	p.sees("Scan this")
	secret := strings.ReplaceAll(p.reads("[role=dialog] .hf-secret")[0], " ", "")
	p.types("Code", "000000")
	p.press("Switch it on")
	p.sees("not the code that your device shows")
	code, err := totp.GenerateCode(secret, time.Now())
	x.ok(err)
	p.types("Code", code)
	p.press("Switch it on")
	p.sees("Your backup codes")
	codes = p.reads("[role=dialog] ol.hf-code:not(.hf-sheet *) li")
	if len(codes) != 10 {
		x.Fatalf("the backup codes are %q", codes)
	}
	p.press("I have kept them")
	return code, codes
}

// demanded wants a second factor of administrators: another one, who is at work, can do nothing else until it is set up.
func (x *scenario) demanded() {
	a, b := x.ada, x.ben
	a.press("Settings", "Administrators need a second factor", "Save the settings")
	a.lacks("What you changed")
	b.press("Devices")
	b.sees("You need a second factor", "Your devices go on backing up")
	b.lacks("Administration", "Dashboard")
	b.goes("/admin/users")
	b.sees("You need a second factor")
	x.setsUp(b, benPassword)
	b.sees("Your second factor is on")
	b.press("Go on")
	b.sees("Administration")
	a.press("Administrators need a second factor", "Save the settings")
	b.press("Profile")
	b.sees("10 backup codes are left")
}
