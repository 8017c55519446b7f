//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/holdfast-backup/holdfast/e2e/stack"
	"github.com/holdfast-backup/holdfast/e2e/usage"
)

// holdfast is ourselves, through the real programs.
type holdfast struct {
	bin    string
	server *stack.Server
	agent  *stack.Agent
}

func (h *holdfast) Start(ctx context.Context, dir string) error {
	p, err := stack.In(h.bin)
	if err != nil {
		return err
	}
	if h.server, err = stack.Up(ctx, p, filepath.Join(dir, "server")); err != nil {
		return err
	}
	if h.agent, err = h.server.Person(ctx, filepath.Join(dir, "ada"), "ada@example.org", "Ada", "staff"); err != nil {
		return err
	}
	return h.agent.Enroll(ctx, "bench")
}

func (h *holdfast) Backup(ctx context.Context, src string) (cost, error) {
	r := h.agent.Run(ctx, "backup", src)
	return cost{r.Wall, r.CPU, r.PeakRSS}, r.Err()
}

func (h *holdfast) Restore(ctx context.Context, _, dst string) (cost, error) {
	r := h.agent.Unlocked(ctx, "restore", "latest", "--to", dst)
	return cost{r.Wall, r.CPU, r.PeakRSS}, r.Err()
}

func (h *holdfast) Stored() (int64, error) { return folderSize(filepath.Join(h.server.Data, "store")) }

func (h *holdfast) Server() (usage.Usage, error) { return usage.Of(h.server.Cmd.Process.Pid) }

func (h *holdfast) Stop() error {
	if h.server == nil {
		return nil
	}
	if err := h.server.Stop(); err != nil {
		return fmt.Errorf("holdfast: %w", err)
	}
	return nil
}
