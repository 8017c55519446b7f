//go:build linux

package web

import (
	"strings"
	"time"

	"github.com/pquerna/otp/totp"
)

// secondFactor sets one up, comes in with it, and switches it off again.
func (x *scenario) secondFactor() {
	a := x.ada
	a.press("Profile", "Set it up")
	a.types("Your password", adaNew)
	a.press("Go on")
	a.sees("Scan this")
	secret := strings.ReplaceAll(a.reads("[role=dialog] .hf-secret")[0], " ", "")
	a.types("Code", "000000")
	a.press("Switch it on")
	a.sees("not the code that your device shows")
	code, err := totp.GenerateCode(secret, time.Now())
	x.ok(err)
	a.types("Code", code)
	a.press("Switch it on")
	a.sees("Your backup codes")
	codes := a.reads("[role=dialog] ol.hf-code:not(.hf-sheet *) li")
	if len(codes) != 10 {
		x.Fatalf("the backup codes are %q", codes)
	}
	a.press("I have kept them")
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

	a.press("Profile")
	a.sees("9 backup codes are left")
	a.press("Switch it off")
	a.types("Your password", adaNew)
	a.types("Code of the second factor", codes[1])
	a.press("Switch the second factor off? > Switch it off")
	a.sees("Set it up")
}
