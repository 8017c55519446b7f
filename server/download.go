package server

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// systems are those that the agent is built for, by Go's names.
var systems = map[string][]string{
	"linux":   {"amd64", "arm64"},
	"darwin":  {"amd64", "arm64"},
	"windows": {"amd64", "arm64"},
}

// AgentFile is what an agent for a system is called in the folder that Config.Agents names.
func AgentFile(system, arch string) string {
	name := "holdfast-agent-" + system + "-" + arch
	if system == "windows" {
		name += ".exe"
	}
	return name
}

// agent hands out the agent for a system: the enrolment page's install command gets it here. It holds no secret, so anybody may have it.
func (s *Server) agent(w http.ResponseWriter, r *http.Request) {
	system, arch := r.PathValue("os"), r.PathValue("arch")
	if !slices.Contains(systems[system], arch) {
		writeError(w, r, fault.New(fault.NotFound, "there is no agent for %s/%s: want linux, darwin or windows, and amd64 or arm64", clip(system), clip(arch)))
		return
	}
	var f *os.File
	err := error(fs.ErrNotExist)
	if s.cfg.Agents != "" {
		f, err = os.Open(filepath.Join(s.cfg.Agents, AgentFile(system, arch)))
	}
	if errors.Is(err, fs.ErrNotExist) {
		writeError(w, r, fault.New(fault.NotFound, "this server has no agent for %s/%s at hand: an administrator can put one into its agents folder (make agents)", system, arch))
		return
	}
	if err != nil {
		writeError(w, r, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("the agent is not a regular file")
	}
	if err != nil {
		writeError(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	name := "holdfast-agent"
	if system == "windows" {
		name += ".exe"
	}
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, name, info.ModTime(), f)
}
