// Package proto holds the few words of HTTP on which agents and servers must agree.
package proto

// Version is the release of this tree. Releases set it with -ldflags.
var Version = "0.1.0"

// The agent protocol: a number that rises when an old agent could no longer work with a new server, or the
// other way about. The server accepts MinProtocol to Protocol.
const (
	Protocol    = 1
	MinProtocol = 1
)

// Headers.
const (
	// HeaderAgent is sent by every agent: its version, a slash, its protocol: "0.1.0/1".
	HeaderAgent = "Holdfast-Agent"
	// HeaderRequest must be "1" on requests that are authenticated by a cookie. A form on another site
	// cannot set it.
	HeaderRequest = "Holdfast-Request"
)

// Prefixes of tokens, by kind. After the prefix come 32 random bytes in unpadded base64url.
const (
	TokenSession    = "hfs_"
	TokenAPI        = "hfa_"
	TokenDevice     = "hfd_"
	TokenInvitation = "hfi_"
	TokenEnrolment  = "hfe_"
	TokenImport     = "hfm_"
)
