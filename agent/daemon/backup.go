package daemon

import (
	"context"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/place"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/agent/walk"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// backup makes one snapshot of what all policies together ask for.
func (s *service) backup(ctx context.Context, p *remote.Effective, k *keeper) (backup.Result, error) {
	rules, err := s.rules(p)
	if err != nil {
		now := time.Now().UTC()
		_ = s.cfg.Dir.SaveLast(&state.Last{Started: now, Finished: now, Error: agent.Sentence(err)})
		return backup.Result{}, err
	}
	return agent.Backup(ctx, s.cfg.Dir, agent.BackupInput{
		Rules: rules, Level: levelOf(p.Level), Wait: true, OnSession: k.session,
		Server: func(v *agent.Server) {
			if s.cfg.Server != nil {
				s.cfg.Server(v)
			}
			if p.UploadLimit > 0 && (v.UploadLimit == 0 || p.UploadLimit < v.UploadLimit) {
				v.UploadLimit = p.UploadLimit
			}
		},
		OnProgress: func(p backup.Progress) { k.progress(remote.Progress(p)) },
	})
}

// rules turns what policies select into what is walked here.
func (s *service) rules(p *remote.Effective) ([]walk.Rule, error) {
	if p == nil || len(p.Selections) == 0 {
		return nil, fault.New(fault.NotFound, "no policy applies to this device: its administrator decides what is saved, and holdfast-agent backup PATH… saves what you name")
	}
	var rules []walk.Rule
	for _, sel := range p.Selections {
		found, err := place.Resolve(sel.Roots, s.home)
		if err != nil {
			return nil, err
		}
		if len(found.Roots) > 0 {
			rules = append(rules, walk.Rule{Roots: found.Roots, Extensions: sel.Extensions, Exclude: sel.Excludes, MaxSize: sel.MaxFileSize, Optional: true})
		}
	}
	if len(rules) == 0 {
		return nil, fault.New(fault.NotFound, "not one of the folders that the policies name can exist on this machine")
	}
	return rules, nil
}

// levelOf reads the server's word for a level of compression; one that is not known means the usual one.
func levelOf(word string) seal.Level {
	switch word {
	case "NONE":
		return seal.LevelNone
	case "FAST":
		return seal.LevelFast
	case "BETTER":
		return seal.LevelBetter
	}
	return seal.LevelDefault
}
