// Package talk is what the page and the worker that holds the keys say to each other: for each method of app/safe what goes in and
// what comes out, as JSON. It is plain types, so that the page does not link what only the worker needs.
//
// Paths are those of a snapshot's tree, as [Text] writes them: "home/ada/x", on Windows "C:/Users/ada/x", "" for the top. Ids are the API's.
// Bytes are base64, sizes are bytes, times are nanoseconds since 1970 unless they are a time.Time.
package talk

import "time"

// The methods. Those from Open on need open keys: without them they fail with fault.Unauthenticated.
const (
	MethodDerive         = "derive"         // Derive -> AuthKey: keys of a password, for Open
	MethodDeriveRecovery = "deriveRecovery" // Code -> AuthKey: keys of a recovery code, for Open
	MethodCreate         = "create"         // Password -> Created: keys of a new account, for Open after joining
	MethodConfirmCode    = "confirmCode"    // Code: fails unless it is the recovery code that was shown last
	MethodStrength       = "strength"       // Strength -> Verdict
	MethodOpen           = "open"           // Open: opens the account's keys
	MethodLock           = "lock"           // forgets them, here and in the browser's other tabs
	MethodResume         = "resume"         // Resume: opens what was kept across a reload
	MethodLocked         = "locked"         // answers when the keys are not open, and waits for that
	MethodRewrap         = "rewrap"         // Password -> PasswordKeys: for changePassword
	MethodNewRecovery    = "newRecovery"    // -> Recovery: for renewRecovery
	MethodEnrolCode      = "enrolCode"      // EnrolCode -> Enrolment
	MethodVerifyDevice   = "verifyDevice"   // Device -> Verified
	MethodOpenManifests  = "openManifests"  // []Sealed -> []Manifest; the snapshots can then be named in what follows
	MethodProblems       = "problems"       // Problems -> []Problem
	MethodLoad           = "load"           // Snapshot -> Contents, with Progress: reads the whole tree into memory
	MethodList           = "list"           // List -> Listing
	MethodSearch         = "search"         // Search -> Listing
	MethodTotals         = "totals"         // Selection -> Totals
	MethodStat           = "stat"           // Path -> Stat
	MethodVersions       = "versions"       // Versions -> []Version
	MethodPreview        = "preview"        // Path -> Preview
	MethodPlan           = "plan"           // Selection -> Plan: what a download would be
	MethodDownload       = "download"       // Selection -> Downloaded, with Progress
	MethodRelease        = "release"        // URL: forgets what a preview or a download left in memory
	MethodOrderRestore   = "orderRestore"   // Order -> Ordered
	MethodOpenReport     = "openReport"     // SealedReport -> Report
)

// Derive is a password and how keys are made of it, as loginParams says.
type Derive struct {
	Password string `json:"password"`
	Salt     []byte `json:"salt"`
	Time     int    `json:"time"`
	Memory   int    `json:"memory"` // KiB
	Threads  int    `json:"threads"`
}

// AuthKey proves a password or a recovery code to the server.
type AuthKey struct {
	AuthKey []byte `json:"authKey"`
}

// Password is a new one.
type Password struct {
	Password string   `json:"password"`
	Words    []string `json:"words"` // that it must not be made of: e-mail address, name
}

// Code is a code as a person typed it.
type Code struct {
	Code string `json:"code"`
}

// Params are the API's LoginParamsInput.
type Params struct {
	Salt    []byte `json:"salt"`
	Time    int    `json:"time"`
	Memory  int    `json:"memory"`
	Threads int    `json:"threads"`
}

// PasswordKeys are the API's AccountKeysInput.
type PasswordKeys struct {
	Params  Params `json:"params"`
	AuthKey []byte `json:"authKey"`
	Bundle  []byte `json:"bundle"`
}

// RecoveryKeys are the API's RecoveryKeysInput.
type RecoveryKeys struct {
	AuthKey []byte `json:"authKey"`
	Bundle  []byte `json:"bundle"`
}

// Recovery is a new recovery code, to be shown once, and its keys.
type Recovery struct {
	Code string       `json:"code"`
	Keys RecoveryKeys `json:"keys"`
}

// Created is a new account.
type Created struct {
	Keys           PasswordKeys `json:"keys"`
	Recovery       Recovery     `json:"recovery"`
	IdentityPublic []byte       `json:"identityPublic"`
}

// Strength asks how hard a password is to guess.
type Strength = Password

// Verdict says how hard a password is to guess.
type Verdict struct {
	Score    int    `json:"score"` // 0 (at once) to 4 (not by anybody); new passwords need 2
	Sentence string `json:"sentence"`
}

// Open is the account's bundle, as login gave it, and whose it is.
type Open struct {
	Bundle         []byte `json:"bundle"`
	User           string `json:"user"`
	IdentityPublic []byte `json:"identityPublic"` // as the server shows it; empty: not compared
}

// Resume names the user who is logged in.
type Resume struct {
	User string `json:"user"`
}

// EnrolCode is what a new device is to trust.
type EnrolCode struct {
	Fingerprint string `json:"fingerprint"` // ServerInfo.fingerprint; "" if it is null
}

// Enrolment is a one-time code, to be shown, and what createEnrolment wants.
type Enrolment struct {
	Code      string `json:"code"`
	TokenHash []byte `json:"tokenHash"`
	Sealed    []byte `json:"sealed"`
}

// Device is a device's public key and what proves that it was enrolled.
type Device struct {
	ID        string `json:"id"`
	PublicKey []byte `json:"publicKey"`
	MAC       []byte `json:"mac"`
}

// Verified says whether a device is the account's.
type Verified struct {
	Genuine bool `json:"genuine"`
}

// Sealed is a snapshot as the API has it.
type Sealed struct {
	ID       string `json:"id"`
	Device   string `json:"device"` // its id
	Root     []byte `json:"root"`
	Manifest []byte `json:"manifest"`
}

// Manifest is what a snapshot says about itself. With Error nothing else is set but ID.
type Manifest struct {
	ID           string    `json:"id"`
	Error        string    `json:"error,omitempty"` // why it cannot be opened
	DeviceName   string    `json:"deviceName,omitempty"`
	Hostname     string    `json:"hostname,omitempty"`
	OS           string    `json:"os,omitempty"` // such as linux/amd64
	Roots        []string  `json:"roots,omitempty"`
	Started      time.Time `json:"started"`
	Finished     time.Time `json:"finished"`
	Files        int64     `json:"files,omitempty"`
	Bytes        int64     `json:"bytes,omitempty"`
	Dirs         int64     `json:"dirs,omitempty"`
	Parent       string    `json:"parent,omitempty"` // the snapshot on which it was built
	Problems     int64     `json:"problems,omitempty"`
	AgentVersion string    `json:"agentVersion,omitempty"`
}

// Page is a part of a list.
type Page struct {
	Offset int `json:"offset"`
	Limit  int `json:"limit"` // at most 1000
}

// Problems asks for a page of a snapshot's unreadable files.
type Problems struct {
	Snapshot string `json:"snapshot"`
	Page
}

// Problem is a file that is not in a snapshot, or not as it should be.
type Problem struct {
	Path  string `json:"path"`
	Cause string `json:"cause"` // permission, vanished, changed, io, too-long, other
	Text  string `json:"text"`
}

// Progress is how far something is. Totals are 0 while unknown.
type Progress struct {
	Files      int64 `json:"files"`
	Bytes      int64 `json:"bytes"`
	TotalFiles int64 `json:"totalFiles"`
	TotalBytes int64 `json:"totalBytes"`
}
