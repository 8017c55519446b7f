package policy

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// EffectiveOf returns what the enabled policies come to on each of the devices, at most [MaxByID] at once: to the device
// itself, to its owner and to administrators. A device that no policy applies to has an Effective without policies; one that the actor may not
// see is left out.
func (s *Service) EffectiveOf(ctx context.Context, a actor.Actor, devices []id.Device) (map[id.Device]*Effective, error) {
	if err := mayAsk(a, len(devices)); err != nil {
		return nil, err
	}
	pairs, err := applying(ctx, s.cfg.DB, devices)
	if err != nil {
		return nil, err
	}
	found := map[id.Device]*Effective{}
	var ids []id.Policy
	wanted := map[id.Policy][]*Effective{}
	for _, row := range pairs {
		if a.Device != row.Device && !a.MayRead(row.Owner) && a.Require(actor.Admin) != nil {
			continue
		}
		e := found[row.Device]
		if e == nil {
			e = &Effective{Policies: []*Policy{}}
			found[row.Device] = e
		}
		if row.Policy != nil {
			if wanted[*row.Policy] == nil {
				ids = append(ids, *row.Policy)
			}
			wanted[*row.Policy] = append(wanted[*row.Policy], e)
		}
	}
	if len(ids) == 0 {
		return found, nil
	}
	policies, err := summaries(ctx, s.cfg.DB, ids)
	if err != nil {
		return nil, err
	}
	for _, p := range policies { // by name
		for _, e := range wanted[p.ID] {
			e.Policies = append(e.Policies, p)
		}
	}
	for _, e := range found {
		if e.Effective, err = merge(e.Policies); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// merge joins policies into one order.
func merge(policies []*Policy) (plan.Effective, error) {
	list := make([]plan.Policy, len(policies))
	for i, p := range policies {
		extensions, err := plan.Extensions(p.Presets, p.Extensions)
		if err != nil {
			return plan.Effective{}, fmt.Errorf("policy %s: %w", p.ID, err)
		}
		excludes, err := plan.Excludes(p.ExcludePresets, p.Excludes)
		if err != nil {
			return plan.Effective{}, fmt.Errorf("policy %s: %w", p.ID, err)
		}
		list[i] = plan.Policy{
			ID: p.ID.String(), Name: p.Name, Roots: p.Roots, Extensions: extensions, Excludes: excludes, MaxFileSize: p.MaxFileSize,
			Level: string(p.Level), UploadLimit: p.UploadLimit, Retention: p.Retention, Zone: p.Zone,
		}
	}
	return plan.Merge(list), nil
}

// RetentionRules returns the rules by which a device's snapshots are kept: those of the enabled policies that apply to it. Nil means that none
// does, and that nothing is deleted; so it is for a device that was revoked, or whose owner is suspended or not known.
func RetentionRules(ctx context.Context, q sqlx.QueryerContext, device id.Device) ([]plan.Rule, error) {
	return rules(ctx, q, device)
}
