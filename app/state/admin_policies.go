package state

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
)

// Policies is the list of policies. Make it with [NewPolicies].
type Policies struct {
	Desk
	zone  string
	load  Load[*api.AdminPoliciesResponse]
	fetch fetch
}

// PoliciesView is what pages show of [Policies].
type PoliciesView struct {
	Load[[]*api.PolicyRow]
	Work
	Week map[string]*api.ReportCounts // the runs of the last seven days, by policy
}

// NewPolicies returns the list; zone is that of the person, an IANA name.
func NewPolicies(client *api.Client, zone string) *Policies {
	return &Policies{Desk: Desk{api: client}, zone: zone}
}

// View returns what to show.
func (p *Policies) View() (v PoliciesView) {
	p.read(func() {
		v.Status, v.Work = p.load.Status, p.work
		v.Load.Err = p.load.Err
		v.Week = map[string]*api.ReportCounts{}
		if p.load.Value == nil {
			return
		}
		v.Value = p.load.Value.Policies
		for _, r := range p.load.Value.RunReport.Rows {
			v.Week[r.Key] = r
		}
	})
	return v
}

// Reload loads the list.
func (p *Policies) Reload() {
	fetchInto(&p.Model, &p.fetch, &p.load, func(ctx context.Context) (*api.AdminPoliciesResponse, error) {
		return api.AdminPolicies(ctx, p.api, lastDays(time.Now(), 7, api.ReportByPolicy, p.zone))
	})
}

// act does something to a policy, and loads the list again.
func (p *Policies) act(id string, fn func(ctx context.Context) (string, error)) {
	p.do(id, func(ctx context.Context) (string, error) {
		done, err := fn(ctx)
		if err == nil {
			p.Reload()
		}
		return done, err
	})
}

// Enable switches a policy on or off.
func (p *Policies) Enable(row *api.PolicyRow, on bool) {
	p.act(row.Id, func(ctx context.Context) (string, error) {
		_, err := api.EnablePolicy(ctx, p.api, &api.EnablePolicyInput{Id: row.Id, Enabled: on})
		if on {
			return fmt.Sprintf("“%s” is on.", row.Name), err
		}
		return fmt.Sprintf("“%s” is off: nothing new becomes due by it.", row.Name), err
	})
}

// Run backs up every device of a policy now.
func (p *Policies) Run(row *api.PolicyRow) {
	p.act(row.Id, func(ctx context.Context) (string, error) {
		r, err := api.RunPolicy(ctx, p.api, row.Id)
		if err != nil {
			return "", err
		}
		return Count(int64(r.RunPolicy.Runs), "device was told", "devices were told") + " to back up now.", nil
	})
}

// Delete deletes a policy.
func (p *Policies) Delete(row *api.PolicyRow) {
	p.act(row.Id, func(ctx context.Context) (string, error) {
		_, err := api.DeletePolicy(ctx, p.api, row.Id)
		return fmt.Sprintf("“%s” was deleted.", row.Name), err
	})
}

// Lost says what the deletion of a policy takes away.
func Lost(row *api.PolicyRow) string {
	return fmt.Sprintf("%s will no longer be backed up by it. Its runs and snapshots stay, but nothing is kept because of its retention (%s) any more: "+
		"what no other policy keeps may be cleaned away. To pause it, switch it off instead.", Capital(Count(int64(row.DeviceCount), "device", "devices")), row.Retention.Text)
}

// Targets says for whom a policy is.
func Targets(t *api.PolicyRowTargetsPolicyTargets) string {
	var meant, excepted []string
	if t.Everyone {
		meant = append(meant, "Everyone")
	}
	for _, g := range t.Groups {
		meant = append(meant, g.Name)
	}
	for _, d := range t.Devices {
		meant = append(meant, d.Name)
	}
	for _, g := range t.ExceptGroups {
		excepted = append(excepted, g.Name)
	}
	for _, d := range t.ExceptDevices {
		excepted = append(excepted, d.Name)
	}
	if len(meant) == 0 {
		return "Nobody yet"
	}
	text := strings.Join(meant, ", ")
	if len(excepted) > 0 {
		text += " except " + strings.Join(excepted, ", ")
	}
	return text
}

// Capital begins a text with a capital letter, if it begins with a small Latin one.
func Capital(s string) string {
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		return strings.ToUpper(s[:1]) + s[1:]
	}
	return s
}
